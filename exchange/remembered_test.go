package exchange

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExchangeIsRemembered(t *testing.T) {
	r := newRig(t, nil)
	first, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	if second.Token != first.Token || !second.Cached || OutcomeOf(second, nil) != OutcomeHit || r.sts.calls() != 1 {
		t.Errorf("second %+v after %d calls", second, r.sts.calls())
	}
	if diff := cmp.Diff([]string{"orders:read"}, second.Scope); diff != "" {
		t.Error(diff)
	}
	if want := r.clock.Now().Add(5 * time.Minute); !second.Expiry.Equal(want) {
		t.Errorf("expiry %v, want %v", second.Expiry, want)
	}
}

// Attack row 18: whatever two callers have in common, they share no token.
func TestExchangeNeverCrosses(t *testing.T) {
	prefix := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJhbGljZSJ9."
	r := newRig(t, nil)
	base := r.caller(prefix+"one", "orders:read", "orders:write")
	if _, err := r.Exchange(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	sameToken := r.caller(prefix+"one", "orders:read")
	sameSubject := r.caller(prefix+"two", "orders:read", "orders:write")
	sameSubject.Token.Subject = base.Token.Subject
	for name, caller := range map[string]Caller{"a common prefix, the same sub": sameSubject, "fewer scopes": sameToken} {
		before := r.sts.calls()
		issued, err := r.Exchange(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		if issued.Cached || r.sts.calls() != before+1 {
			t.Errorf("%s: served from memory", name)
		}
	}
}

// Two exchanges over one state share nothing that one of them would not have
// accepted itself.
func TestExchangersOverOneState(t *testing.T) {
	fake, at, state := newSTS(t), newClock(), newState(t, 100)
	exchanger := func(change func(*Config)) *Exchanger {
		return newExchanger(t, fake, at, func(c *Config) {
			c.State = state
			if change != nil {
				change(c)
			}
		})
	}
	caller := callerAt(at.Now(), "t", "orders:read")
	calls := func(x *Exchanger) int {
		before := fake.calls()
		if _, err := x.Exchange(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
		return fake.calls() - before
	}
	if first, again := calls(exchanger(nil)), calls(exchanger(nil)); first != 1 || again != 0 {
		t.Error("the same configuration does not find what it knew")
	}
	for name, change := range map[string]func(*Config){
		"audience":       func(c *Config) { c.Audience = []string{"stock"} },
		"more audiences": func(c *Config) { c.Audience = []string{"orders", "stock"} },
		"resource":       func(c *Config) { c.Audience, c.Resource = nil, []string{"urn:orders"} },
		"no scope":       func(c *Config) { c.Scope = nil },
		"subject type":   func(c *Config) { c.SubjectType = TypeJWT },
		"requested type": func(c *Config) { c.RequestedType = TypeAccessToken },
		"param":          func(c *Config) { c.Params = []Param{{"a", "b"}} },
		"max_ttl":        func(c *Config) { c.MaxTTL = time.Minute },
		"accept":         func(c *Config) { c.Accept.Issued = []string{TypeAccessToken} },
	} {
		if calls(exchanger(change)) != 1 {
			t.Errorf("%s: served what another exchange got", name)
		}
	}
}

func TestExchangeTTL(t *testing.T) {
	r := newRig(t, nil)
	exchange := func(caller Caller) bool {
		t.Helper()
		issued, err := r.Exchange(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Cached
	}
	// Two callers: the use of a token this late sets off the call for the next one.
	caller, other := r.caller("t", "orders:read"), r.caller("s", "orders:read")
	exchange(caller)
	exchange(other)
	r.clock.pass(5*time.Minute - 30*time.Second - time.Nanosecond)
	if !exchange(caller) {
		t.Error("not used until the margin begins")
	}
	r.clock.pass(time.Nanosecond)
	if exchange(other) {
		t.Error("used within the margin")
	}
	// A token whose end nobody knows is used once.
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": nil}))
	unknown := r.caller("u", "orders:read")
	if first, again := exchange(unknown), exchange(unknown); first || again {
		t.Error("kept without knowing how long")
	}
	// So is one that lives no longer than its margin.
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": 2}))
	short := r.caller("v", "orders:read")
	if first, again := exchange(short), exchange(short); first || again {
		t.Error("kept within its margin")
	}
	// And one of a caller whose own token is about to end.
	r.sts.answers(r.sts.issue(nil))
	ending := r.caller("w", "orders:read")
	ending.Token.Expiry = r.clock.Now().Add(2 * time.Second)
	if first, again := exchange(ending), exchange(ending); first || again {
		t.Error("kept although the caller's token ends")
	}
}

func TestExchangeMaxTTL(t *testing.T) {
	for name, test := range map[string]struct {
		maxTTL, reused time.Duration
	}{
		"default":    {0, 5*time.Minute - 30*time.Second},
		"configured": {time.Minute, time.Minute - 6*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.MaxTTL = test.maxTTL })
			r.sts.answers(r.sts.issue(map[string]any{"expires_in": 3600}))
			// Two callers: the use of a token this late sets off the call for the next one.
			caller, other := r.caller("t", "orders:read"), r.caller("s", "orders:read")
			for _, step := range []struct {
				after  time.Duration
				caller Caller
				cached bool
			}{{0, caller, false}, {0, other, false}, {test.reused - 1, caller, true}, {1, other, false}} {
				r.clock.pass(step.after)
				issued, err := r.Exchange(t.Context(), step.caller)
				if err != nil {
					t.Fatal(err)
				}
				if issued.Cached != step.cached {
					t.Errorf("%v later: cached %v", step.after, issued.Cached)
				}
				if issued.Expiry.Before(r.clock.Now().Add(50 * time.Minute)) {
					t.Errorf("max_ttl shortens the token itself: %v", issued.Expiry)
				}
			}
		})
	}
}

// What is used once leaves nothing behind, not even for a server that is down.
func TestExchangeKeepsNothingShort(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": 2}))
	if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil {
		t.Fatal(err)
	}
	if r.state.Len() != 0 {
		t.Errorf("%d kept", r.state.Len())
	}
}

func TestExchangeWithoutCache(t *testing.T) {
	r := newRig(t, func(c *Config) { c.State = newState(t, 0) })
	for range 2 {
		issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
		if err != nil || issued.Cached {
			t.Fatalf("issued %+v, error %v", issued, err)
		}
	}
	if r.sts.calls() != 2 || r.state.Len() != 0 {
		t.Errorf("%d calls, %d kept", r.sts.calls(), r.state.Len())
	}
}
