package exchange

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	sent := newClock().now
	const never = 0
	at := func(seconds float64) time.Time {
		if seconds == never {
			return time.Time{}
		}
		return sent.Add(time.Duration(seconds * float64(time.Second)))
	}
	tests := map[string]struct {
		expiresIn, exp       float64
		subject, maxTTL      float64
		expiry, fresh, until float64
	}{
		"expires_in alone":        {100, never, 3600, 300, 100, 90, 100},
		"exp alone":               {never, 100, 3600, 300, 100, 90, 100},
		"exp shortens":            {100, 50, 3600, 300, 50, 45, 50},
		"exp does not lengthen":   {50, 100, 3600, 300, 50, 45, 50},
		"subject caps":            {100, never, 40, 300, 100, 36, 40},
		"max_ttl caps":            {3600, never, 3600, 300, 3600, 270, 300},
		"margin at most 30s":      {3600, never, 3600, 3600, 3600, 3570, 3600},
		"margin at least 2s":      {10, never, 3600, 300, 10, 8, 10},
		"nobody knows":            {never, never, 3600, 300, never, never, never},
		"shorter than its margin": {1, never, 3600, 300, 1, -1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := newLifetime(sent, []time.Time{at(test.exp), at(test.expiresIn)}, []time.Time{at(test.subject), at(test.maxTTL)})
			for part, times := range map[string][2]time.Time{
				"expiry": {got.expiry, at(test.expiry)}, "fresh": {got.freshUntil, at(test.fresh)}, "keep": {got.keepUntil, at(test.until)},
			} {
				if !times[0].Equal(times[1]) {
					t.Errorf("%s: %v, want %v", part, times[0], times[1])
				}
			}
		})
	}
}
