package exchange

import (
	"fmt"
	"testing"
	"time"
)

// Section 5, invalid_client and its like: the server is left alone for this exchange,
// for a second at first and for half a minute at most, and one request at a time finds
// out whether it is mended.
func TestExchangeRefusedClientIsNotAskedAgain(t *testing.T) {
	for code, status := range map[string]int{
		"invalid_client": 400, "unauthorized_client": 401, "unsupported_grant_type": 400, "": 401,
	} {
		t.Run(fmt.Sprint(status, code), func(t *testing.T) {
			r := newRig(t, nil)
			r.sts.answers(refuse(status, code))
			serial := 0
			refused := func(wantCalls int) {
				t.Helper()
				before := r.sts.calls()
				for range 5 {
					serial++
					_, err := r.Exchange(t.Context(), r.caller(fmt.Sprint(serial), "orders:read"))
					wantError(t, nil, err, &Error{Outcome: OutcomeConfig, Status: 502, Code: "exchange_misconfigured"})
				}
				if calls := r.sts.calls() - before; calls != wantCalls {
					t.Errorf("%d calls for five callers, want %d", calls, wantCalls)
				}
			}
			refused(2)
			for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
				r.clock.pass(time.Duration(seconds)*time.Second - time.Millisecond)
				refused(0)
				r.clock.pass(time.Millisecond)
				refused(1)
			}
			other := newExchanger(t, r.sts, r.clock, func(c *Config) { c.State, c.Audience = r.state, []string{"billing"} })
			r.sts.answers(r.sts.issue(nil))
			if _, err := other.Exchange(t.Context(), r.caller("other", "orders:read")); err != nil {
				t.Errorf("another target: %v", err)
			}
			refused(0)
			r.clock.pass(faultMost)
			for i := range 5 {
				if _, err := r.Exchange(t.Context(), r.caller(fmt.Sprint("mended", i), "orders:read")); err != nil {
					t.Errorf("after it was mended: %v", err)
				}
			}
		})
	}
}

// One caller cannot shut out the others, however often it is refused.
func TestExchangeRefusedClientOfOneCaller(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(refuse(400, "invalid_client"))
	for range 5 {
		_, err := r.Exchange(t.Context(), r.sameUser("evil", testIssuer, "mallory", ""))
		wantError(t, nil, err, &Error{Outcome: OutcomeConfig, Status: 502, Code: "exchange_misconfigured"})
	}
	r.sts.answers(r.sts.issue(nil))
	if _, err := r.Exchange(t.Context(), r.caller("good", "orders:read")); err != nil {
		t.Error(err)
	}
	for _, code := range []string{"invalid_request", "access_denied", "invalid_target"} {
		r.sts.answers(refuse(401, code))
		for i := range 4 {
			_, _ = r.Exchange(t.Context(), r.caller(fmt.Sprint(code, i), "orders:read"))
		}
		r.sts.answers(r.sts.issue(nil))
		if _, err := r.Exchange(t.Context(), r.caller("good after "+code, "orders:read")); err != nil {
			t.Errorf("after %q: %v", code, err)
		}
	}
}

// Nor can two, while the exchange works for others: a server may blame the client for a
// caller's token, and somebody may have two of that kind. Three are believed, and two
// where it has not worked lately.
func TestExchangeRefusedClientOfFewWhileItWorks(t *testing.T) {
	r := newRig(t, nil)
	serial := 0
	refused := func(names ...string) (calls int) {
		t.Helper()
		r.sts.answers(refuse(400, "invalid_client"))
		before := r.sts.calls()
		for _, name := range names {
			serial++
			_, err := r.Exchange(t.Context(), r.sameUser(fmt.Sprint(serial), testIssuer, name, ""))
			wantError(t, nil, err, &Error{Outcome: OutcomeConfig, Status: 502, Code: "exchange_misconfigured"})
		}
		r.sts.answers(r.sts.issue(nil))
		return r.sts.calls() - before
	}
	works := func(when string) {
		t.Helper()
		serial++
		if _, err := r.Exchange(t.Context(), r.caller(fmt.Sprint(serial), "orders:read")); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	works("at first")
	for range 3 { // what others get in between counts
		if calls := refused("mallory", "eve", "mallory", "eve"); calls != 4 {
			t.Errorf("%d calls for two callers", calls)
		}
		works("after two callers")
	}
	if calls := refused("mallory", "eve", "trudy", "alice", "mallory"); calls != 3 {
		t.Errorf("%d calls, want the three that are believed", calls)
	}
	r.clock.pass(faultFirst)
	works("once it is mended")
	r.clock.pass(successHolds + time.Second)
	if calls := refused("mallory", "mallory", "eve", "alice"); calls != 3 {
		t.Errorf("%d calls where it has not worked lately", calls)
	}
}

// The gateway's own token has no caller to blame.
func TestExchangeRefusedClientOfTheGateway(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Grant, c.Scope = GrantClientCredentials, nil })
	r.sts.grant = grantTypes[GrantClientCredentials]
	r.sts.answers(refuse(401, "invalid_client"))
	for range 3 {
		if _, err := r.Exchange(t.Context(), r.caller("t")); OutcomeOf(nil, err) != OutcomeConfig {
			t.Error(err)
		}
	}
	if n := r.sts.calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var f faults
	failure := newError(OutcomeConfig, nil)
	failure.ASCode = "invalid_client"
	for i := range 3 * maxRecords {
		f.learn(fingerprint{byte(i), byte(i >> 8)}, subject{}, failure, false, newClock().now)
	}
	if len(f.known) > maxRecords {
		t.Errorf("%d are kept", len(f.known))
	}
}
