package exchange

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Section 5, a sender-constrained subject: a server that refuses it is the operator's
// affair and not the caller's, and is asked once. Where the server has just taken
// another such token the refusal is about the caller again.
func TestExchangeBoundSubjectRefused(t *testing.T) {
	r := newRig(t, nil)
	bound := func(name string) Caller {
		caller := r.caller(name, "orders:read")
		caller.Token.Confirmation = token.Confirmation{Key: token.Thumbprint{1}}
		return caller
	}
	refused := func(caller Caller, want Outcome, status int) {
		t.Helper()
		_, err := r.Exchange(t.Context(), caller)
		failure, ok := errors.AsType[*Error](err)
		if !ok || failure.Outcome != want || failure.Status != status || failure.ASCode != "access_denied" {
			t.Errorf("refused with %+v, want %s", err, want)
		}
		if told := strings.Contains(err.Error(), "grant local"); told != (want == OutcomeConfig) {
			t.Errorf("the operator reads %q", err)
		}
	}
	r.sts.answers(refuse(403, "access_denied"))
	alice := bound("alice")
	refused(alice, OutcomeConfig, 502)
	before := r.sts.calls()
	refused(alice, OutcomeConfig, 502)
	if n := r.sts.calls() - before; n != 0 {
		t.Errorf("asked %d times more", n)
	}
	refused(r.caller("bob", "orders:read"), OutcomePolicyDenied, 403)

	r.sts.answers(r.sts.issue(nil))
	if _, err := r.Exchange(t.Context(), r.caller("carol", "orders:read")); err != nil {
		t.Fatal(err)
	}
	r.sts.answers(refuse(403, "access_denied"))
	refused(bound("dave"), OutcomeConfig, 502) // that it works for plain tokens says nothing
	r.sts.answers(r.sts.issue(nil))
	if _, err := r.Exchange(t.Context(), bound("erin")); err != nil {
		t.Fatal(err)
	}
	r.sts.answers(refuse(403, "access_denied"))
	refused(bound("frank"), OutcomePolicyDenied, 403)
}
