package exchange

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// revocable is a rig in which the callers' tokens can be revoked: known first, and
// then evicted, as everywhere.
func revocable(t *testing.T) (r rig, revoke func()) {
	t.Helper()
	gone := new(atomic.Bool)
	r = newRig(t, func(c *Config) { c.Revoked = func(*token.Token) bool { return gone.Load() } })
	return r, func() {
		gone.Store(true)
		r.state.Evict(func(Origin) bool { return true })
	}
}

// A caller whose token is revoked while another is being asked for gets nothing, and
// nothing is kept of it (attack row 46).
func TestAttack46RevokedWhileAsking(t *testing.T) {
	r, revoke := revocable(t)
	issue := r.sts.issue(nil)
	r.sts.answers(func(w http.ResponseWriter, request *http.Request) {
		revoke()
		issue(w, request)
	})
	issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	if OutcomeOf(issued, err) != OutcomeSubjectRejected || !errors.Is(err, errRevoked) {
		t.Errorf("issued %v, error %v", issued, err)
	}
	if r.state.Len() != 0 {
		t.Error("the late answer was stored")
	}
}

// The call for the next token may begin after the eviction: it is not stored either
// (attack row 46).
func TestAttack46RenewalOfRevoked(t *testing.T) {
	r, revoke := revocable(t)
	caller := r.caller("t", "orders:read")
	if _, err := r.Exchange(t.Context(), caller); err != nil {
		t.Fatal(err)
	}
	key, err := r.key(nil, caller)
	if err != nil {
		t.Fatal(err)
	}
	kept := r.state.freshEntry(key, r.clock.Now())
	revoke()
	r.renewAhead(key, kept, caller)
	if r.sts.calls() != 2 || r.state.Len() != 0 {
		t.Errorf("%d calls, %d tokens are kept", r.sts.calls(), r.state.Len())
	}
}

// What replaces a token that the upstream refused is not for a revoked caller.
func TestReplaceForRevoked(t *testing.T) {
	r, revoke := revocable(t)
	caller := r.caller("t", "orders:read")
	issued, err := r.Exchange(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	revoke()
	issued, err = r.Replace(t.Context(), caller, issued)
	if OutcomeOf(issued, err) != OutcomeSubjectRejected || r.state.Len() != 0 {
		t.Errorf("issued %v, error %v, %d are kept", issued, err, r.state.Len())
	}
}

// What is kept for a caller who was revoked is handed out to nobody, though nothing has
// swept it yet, and what is under way is not stored (attack row 46).
func TestAttack46HitBeforeTheSweep(t *testing.T) {
	gone := new(atomic.Bool)
	r := newRig(t, func(c *Config) { c.Revoked = func(*token.Token) bool { return gone.Load() } })
	caller := r.caller("t", "orders:read")
	if _, err := r.Exchange(t.Context(), caller); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	r.state.Outdate()
	if issued, err := r.Exchange(t.Context(), caller); OutcomeOf(issued, err) != OutcomeSubjectRejected || !errors.Is(err, errRevoked) {
		t.Errorf("issued %v, error %v", issued, err)
	}
	if n := r.state.Sweep(func(Origin) bool { return gone.Load() }); n != 1 || r.state.unswept() {
		t.Errorf("%d swept, more to sweep: %v", n, r.state.unswept())
	}
	gone.Store(false)
	if _, err := r.Exchange(t.Context(), caller); err != nil || r.state.Len() != 1 {
		t.Errorf("afterwards: %v, %d are kept", err, r.state.Len())
	}
}
