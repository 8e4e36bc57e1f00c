package redis

import (
	"testing"
	"time"
)

// A reader moves past what has ended by both clocks, and past nothing else.
func TestEndedByBothClocks(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		server time.Time
		until  time.Time
		want   bool
	}{
		"by both":                    {now, now.Add(-time.Second), true},
		"this node's clock is ahead": {now.Add(-24 * time.Hour), now.Add(-time.Hour), false},
		"the server's is ahead":      {now.Add(24 * time.Hour), now.Add(time.Hour), false},
		"by none":                    {now, now.Add(time.Hour), false},
	} {
		if got := (&reader{now: test.server}).over(test.until); got != test.want {
			t.Errorf("%s: over %v, want %v", name, got, test.want)
		}
	}
}
