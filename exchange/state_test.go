package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func fill(state *State, count int, text string) {
	now := newClock().now
	for i := range count {
		key := cacheKey{byte(i), byte(i >> 8), byte(i >> 16)}
		state.put(key, &entry{
			issued: &Issued{Token: token.NewRaw(fmt.Sprint(text, i))}, life: time.Hour,
			freshUntil: now.Add(time.Hour), keepUntil: now.Add(time.Hour),
		})
	}
	state.issued.CleanUp()
}

func TestStateIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		entries int
		bytes   int64
		text    string
		want    int // at most
	}{
		"in entries": {100, 1 << 20, "t", 100},
		"in bytes":   {100, 16 << 10, strings.Repeat("t", 7<<10), 2},
	} {
		t.Run(name, func(t *testing.T) {
			state := NewState(test.entries, test.bytes)
			defer state.Close()
			fill(state, 1000, test.text)
			if got := state.Len(); got > test.want || got == 0 {
				t.Errorf("%d entries, at most %d", got, test.want)
			}
		})
	}
}

func TestStateCloses(t *testing.T) {
	state := NewState(10, 1<<20)
	fill(state, 5, "t")
	state.Close()
	state.Close()
	if state.Len() != 0 {
		t.Errorf("%d left", state.Len())
	}
	// Requests of an old configuration may still come.
	fill(state, 1, "t")
	if state.fresh(cacheKey{}, newClock().now) == nil {
		t.Error("a closed state does not work on")
	}
	state.Close()
}

// An issued token prints as its fingerprint wherever it is kept.
func TestIssuedNeverPrints(t *testing.T) {
	issued := &Issued{Token: token.NewRaw("CANARY")}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", issued, *issued, issued), fmt.Sprint(entry{issued: issued})} {
		if strings.Contains(text, "CANARY") {
			t.Errorf("printed: %s", text)
		}
	}
}
