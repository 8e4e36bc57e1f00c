package exchange

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Section 5, 429 and its like: until the time that the server asks for it is not asked,
// and everybody is told what is left of it.
func TestExchangePauseIsKept(t *testing.T) {
	for code, status := range map[string]int{"": 429, "slow_down": 400, "temporarily_unavailable": 400} {
		t.Run(fmt.Sprint(status, code), func(t *testing.T) {
			r := newRig(t, nil)
			serial := 0
			refused := func(wantCalls int, left time.Duration) {
				t.Helper()
				before := r.sts.calls()
				for range 5 {
					serial++
					_, err := r.Exchange(t.Context(), r.caller(fmt.Sprint(serial), "orders:read"))
					wantError(t, nil, err, &Error{
						Outcome: OutcomeServerDown, Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", RetryAfter: left,
					})
				}
				if calls := r.sts.calls() - before; calls != wantCalls {
					t.Errorf("%d calls for five callers, want %d", calls, wantCalls)
				}
			}
			r.sts.answers(wait("30", refuse(status, code)))
			refused(2, 30*time.Second)
			r.clock.pass(12*time.Second + time.Millisecond)
			refused(0, 18*time.Second)
			other := newExchanger(t, r.sts, r.clock, func(c *Config) { c.State, c.Audience = r.state, []string{"billing"} })
			r.sts.answers(r.sts.issue(nil))
			if _, err := other.Exchange(t.Context(), r.caller("other", "orders:read")); err != nil {
				t.Errorf("another target: %v", err)
			}
			refused(0, 18*time.Second)
			r.clock.pass(18 * time.Second)
			if _, err := r.Exchange(t.Context(), r.caller("later", "orders:read")); err != nil {
				t.Errorf("after the pause: %v", err)
			}
		})
	}
}

// A server that counts each user for itself: one or two callers wait alone, and do not
// shut out the others while the exchange works for them.
func TestExchangePauseOfOneCaller(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.Exchange(t.Context(), r.caller("first", "orders:read")); err != nil {
		t.Fatal(err)
	}
	serial := 0
	slow := func(name string) {
		t.Helper()
		serial++
		r.sts.answers(wait("30", refuse(429, "")))
		_, err := r.Exchange(t.Context(), r.sameUser(fmt.Sprint(serial), testIssuer, name, ""))
		wantError(t, nil, err, &Error{Outcome: OutcomeServerDown, Status: 503, Code: "temporarily_unavailable", RetryAfter: 30 * time.Second})
		r.sts.answers(r.sts.issue(nil))
	}
	before := r.sts.calls()
	for range 10 {
		slow("mallory")
		slow("eve")
	}
	if calls := r.sts.calls() - before; calls != 2 {
		t.Errorf("%d calls for two callers, want one each", calls)
	}
	if _, err := r.Exchange(t.Context(), r.caller("good", "orders:read")); err != nil {
		t.Errorf("shut out: %v", err)
	}
	slow("trudy")
	before = r.sts.calls()
	slow("alice")
	if calls := r.sts.calls() - before; calls != 0 {
		t.Error("three callers were told to wait, and the next one asked")
	}
}
