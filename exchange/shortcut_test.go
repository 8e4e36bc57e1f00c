package exchange

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// reader makes callers whose tokens were read, as those of requests are.
func reader(t *testing.T, now time.Time) func(text, scope string) Caller {
	t.Helper()
	return func(text, scope string) Caller {
		claims, err := token.ParseClaims(fmt.Appendf(nil, `{"iss":%q,"sub":%q,"scope":%q,"exp":%d}`,
			testIssuer, "user of "+text, scope, now.Add(time.Hour).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		raw := token.NewRaw(text)
		read, err := token.Introspected(token.Introspection{Issuer: testIssuer, Claims: claims, Digest: raw.Digest()})
		if err != nil {
			t.Fatal(err)
		}
		return Caller{Raw: raw, Token: read}
	}
}

// often is enough for long ways and short ones.
const often = 48

// asked is what a request gets that nobody traces: by the shortcut, else the long way.
func (r rig) asked(t *testing.T, who Caller) (*Issued, error) {
	t.Helper()
	if issued := r.Remembered(&who.Raw, who.Token); issued != nil {
		return issued, nil
	}
	return r.Exchange(t.Context(), who)
}

// often exchanges as often as it takes for long ways and short ones, and tells the calls.
// Each time the caller must get its own scope.
func (r rig) often(t *testing.T, who Caller) (last *Issued, calls int) {
	t.Helper()
	before := r.sts.calls()
	for i := range often {
		issued, err := r.asked(t, who)
		if err != nil || !slices.Equal(issued.Scope, who.Token.Scopes) {
			t.Fatalf("request %d: %v, %+v", i, err, issued)
		}
		last = issued
	}
	return last, r.sts.calls() - before
}

func TestShortcutLeadsWhereTheKeyDoes(t *testing.T) {
	r := newRig(t, nil)
	callers := reader(t, r.clock.Now())
	alice := callers("alice", "orders:read")
	first, calls := r.often(t, alice)
	if calls != 1 || !first.Cached || r.shortcut.find(&alice.Raw, alice.Token, r.clock.Now().UnixNano()) == nil {
		t.Fatalf("%d calls, %+v", calls, first)
	}
	if hits := r.state.Stats().Hits; hits != often-1 {
		t.Errorf("%d hits are counted", hits)
	}
	// The same text that was read once more may say something else.
	if _, calls := r.often(t, callers("alice", "orders:read orders:write")); calls != 1 {
		t.Errorf("%d calls for more scope", calls)
	}
	if _, calls := r.often(t, alice); calls != 0 {
		t.Errorf("%d calls for less again", calls)
	}
	if _, calls := r.often(t, callers("bob", "orders:read")); calls != 1 {
		t.Errorf("%d calls for another", calls)
	}
	carol := callers("carol", "orders:read")
	r.often(t, carol)
	if r.Remembered(&carol.Raw, carol.Token) == nil {
		t.Error("there is no shortcut to mix up")
	}
	mixed := Caller{Raw: alice.Raw, Token: carol.Token}
	for range 3 { // one of sixteen takes the long way
		_, err := r.asked(t, mixed)
		wantError(t, nil, err, &Error{Outcome: OutcomeFault, Status: 500, Code: "server_error"})
	}
}

// What the memory lets go for any reason is not found by the shortcut either.
func TestShortcutForgetsWithTheMemory(t *testing.T) {
	for name, forget := range map[string]func(r rig, who Caller, issued *Issued){
		"evicted": func(r rig, _ Caller, _ *Issued) { r.state.Evict(func(Origin) bool { return true }) },
		"swept":   func(r rig, _ Caller, _ *Issued) { r.state.Sweep(func(Origin) bool { return true }) },
		"refused": func(r rig, who Caller, issued *Issued) { _, _ = r.Replace(t.Context(), who, issued) },
		"too old": func(r rig, who Caller, _ *Issued) {
			r.shortcut.At(&who.Token.Digest).Load().kept.renewAt.Store(math.MaxInt64) // somebody is at it
			r.clock.pass(290 * time.Second)
		},
		"renewing": func(r rig, who Caller, _ *Issued) {
			due := r.shortcut.At(&who.Token.Digest).Load().kept.renewAt.Load()
			r.clock.pass(time.Unix(0, due).Sub(r.clock.Now()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			alice := reader(t, r.clock.Now())("alice", "orders:read")
			first, _ := r.often(t, alice)
			before := r.sts.calls()
			forget(r, alice, first)
			if kept := r.shortcut.find(&alice.Raw, alice.Token, r.clock.Now().UnixNano()); kept != nil && kept.issued.Token.Digest() == first.Token.Digest() {
				t.Error("the shortcut still leads there")
			}
			eventually(t, func() bool {
				issued, err := r.asked(t, alice)
				return err == nil && issued.Token.Digest() != first.Token.Digest()
			})
			if calls := r.sts.calls() - before; calls != 1 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// The token itself may end, or be revoked before the memory is swept.
func TestShortcutEndsWithTheToken(t *testing.T) {
	revoked := false
	r := newRig(t, func(c *Config) { c.Revoked = func(*token.Token) bool { return revoked } })
	alice := reader(t, r.clock.Now().Add(-59*time.Minute))("alice", "orders:read")
	r.often(t, alice)
	revoked = true
	r.state.Outdate()
	for range 3 {
		_, err := r.asked(t, alice)
		wantError(t, nil, err, &Error{Outcome: OutcomeSubjectRejected, Status: 401, Code: "invalid_token"})
	}
	revoked = false
	kept := r.shortcut.At(&alice.Token.Digest).Load().kept
	kept.freshUntil = kept.freshUntil.Add(time.Hour) // by mistake
	kept.renewAt.Store(math.MaxInt64)
	r.clock.pass(time.Minute)
	_, err := r.asked(t, alice)
	wantError(t, nil, err, &Error{Outcome: OutcomeSubjectRejected, Status: 401, Code: "invalid_token"})
}

// eventually asks until it is so: what is renewed ahead of time comes beside requests.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for range 1000 {
		if so() {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Error("it never came")
}

// Callers without a token get the one token of all, and no shortcut.
func TestShortcutOfNobody(t *testing.T) {
	x, fake := newTwoLegged(t, func(second *Leg) {
		second.Grant, second.ScopeExact = GrantJWTBearer, []string{"far:read"}
	})
	calls := 0
	fake.say = func(_ url.Values, w http.ResponseWriter) {
		calls++
		sayToken(w, fmt.Sprint("made", calls))
	}
	for range 3 {
		if issued, err := x.Exchange(t.Context(), Caller{}); err != nil || issued == nil {
			t.Fatal(err)
		}
	}
	if calls != 2 || x.shortcut != nil {
		t.Errorf("%d calls for two legs", calls)
	}
}

// A clock that was set back knows nothing of how long a token is fresh.
func TestShortcutOfAClockSetBack(t *testing.T) {
	r := newRig(t, nil)
	alice := reader(t, r.clock.Now())("alice", "orders:read")
	r.often(t, alice)
	if r.shortcut.find(&alice.Raw, alice.Token, r.clock.Now().UnixNano()) == nil {
		t.Fatal("there is no shortcut")
	}
	r.clock.pass(-time.Second)
	if r.shortcut.find(&alice.Raw, alice.Token, r.clock.Now().UnixNano()) != nil {
		t.Error("the shortcut leads on before it began")
	}
}
