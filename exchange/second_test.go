package exchange

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// What one node got the other one finds, with all that is known of it, and then knows
// by itself.
func TestSecondLevel(t *testing.T) {
	f := newFleet(t, nil)
	f.a.sts.answers(f.a.sts.issue(map[string]any{
		"access_token": jwt(map[string]any{"jti": "id-1", "aud": "orders"}), "scope": "orders:read",
	}))
	caller := f.a.caller("t", "orders:read")
	got := f.a.must(t, caller)
	f.settle()
	found := f.b.must(t, caller)
	if found.Token.Digest() != got.Token.Digest() || found.Credential.Reveal() != got.Credential.Reveal() || found.ID != "id-1" ||
		len(found.Scope) != 1 || found.Scope[0] != "orders:read" || found.Expiry.Unix() != got.Expiry.Unix() || !found.Cached {
		t.Errorf("found %+v, and issued was %+v", found, got)
	}
	_, asked := f.shelf.count()
	for range 3 {
		f.b.must(t, caller)
	}
	if _, again := f.shelf.count(); again != asked || f.a.sts.calls() != 1 {
		t.Errorf("%d calls to the server, %d to the store on hits", f.a.sts.calls(), again-asked)
	}
	if f.counts(SharedMiss) != 1 || f.counts(SharedStored) != 1 || f.counts(SharedHit) != 1 {
		t.Error("the counts are wrong")
	}
}

// Nothing of one request serves another one, and no exchange another exchange.
func TestSecondLevelKeepsApart(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"another exchange":    func(c *Config) { c.Sharing.Exchange = []byte("stock") },
		"another key":         func(c *Config) { c.Sharing.Level.key = []byte("another seal") },
		"another audience":    func(c *Config) { c.Audience = []string{"stock"} },
		"another scheme":      func(c *Config) { c.Scheme = "Token" },
		"another max_ttl":     func(c *Config) { c.MaxTTL = time.Minute },
		"another certificate": func(c *Config) { c.Bind.Certificate = thumbprint("other") },
		"nothing is kept":     func(c *Config) { c.State = newState(t, 0) },
		"a key of a process":  func(c *Config) { c.Bind.Prover = proof.NewProver() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, func(node int, c *Config) {
				if node == 1 {
					change(c)
				}
			})
			caller := f.a.caller("t", "orders:read")
			f.a.must(t, caller)
			f.settle()
			_, _ = f.b.Exchange(t.Context(), caller) // that it is asked is enough: not every answer fits each change
			f.settle()
			if f.a.sts.calls() < 2 || f.counts(SharedHit) != 0 {
				t.Errorf("%d calls, %d hits", f.a.sts.calls(), f.counts(SharedHit))
			}
		})
	}
}

type thumbprint string

func (t thumbprint) Thumbprint() string { return string(t) }

// Another token of the same user, and other scopes, are other questions.
func TestSecondLevelIsByToken(t *testing.T) {
	f := newFleet(t, nil)
	f.a.must(t, f.a.caller("t", "orders:read"))
	f.settle()
	for _, caller := range []Caller{f.a.caller("u", "orders:read"), f.a.caller("t", "orders:read", "orders:write")} {
		f.b.must(t, caller)
	}
	f.settle()
	if f.a.sts.calls() != 3 || f.counts(SharedHit) != 0 {
		t.Errorf("%d calls, %d hits", f.a.sts.calls(), f.counts(SharedHit))
	}
}

// Who acts is told by its token: the same path may hold another workload's on another
// node. A token that is renewed is the same actor's.
func TestSecondLevelActors(t *testing.T) {
	for name, test := range map[string]struct {
		one, other string
		same       bool
	}{
		"renewed":  {jwt(map[string]any{"iss": "i", "sub": "a", "exp": 1}), jwt(map[string]any{"iss": "i", "sub": "a", "exp": 2}), true},
		"another":  {jwt(map[string]any{"iss": "i", "sub": "a"}), jwt(map[string]any{"iss": "i", "sub": "b"}), false},
		"opaque":   {"one", "other", false},
		"the same": {"one", "one", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "actor")
			f := newFleet(t, func(_ int, c *Config) { c.Actor = NewFileActor(path, "") })
			place := func(r rig, text string) secondName {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return r.place(f.a.caller("t", "orders:read")).name
			}
			if one, other := place(f.a, test.one), place(f.b, test.other); (one == other) != test.same || one == (secondName{}) {
				t.Errorf("%x and %x", one, other)
			}
		})
	}
}

// The store holds nothing of the caller's token.
func TestSecondLevelHoldsNoSubjectToken(t *testing.T) {
	f := newFleet(t, nil)
	f.a.must(t, f.a.caller("CANARY-subject", "orders:read"))
	f.settle()
	for name, value := range f.shelf.held {
		if strings.Contains(name+string(value), "CANARY") || strings.Contains(name+string(value), "user of") {
			t.Errorf("held under %q: %q", name, value)
		}
	}
}

// What was found ends when it would have ended where it was got, and is renewed ahead
// by one node for all.
func TestSecondLevelEnds(t *testing.T) {
	f := newFleet(t, nil)
	caller := f.a.caller("t", "orders:read")
	f.a.must(t, caller)
	f.settle()
	f.a.clock.pass(200 * time.Second)
	f.b.must(t, caller)
	if f.a.sts.calls() != 1 {
		t.Error("what still serves was not found")
	}
	f.a.clock.pass(75 * time.Second) // 275 of 300: within the margin
	f.b.must(t, caller)
	if f.a.sts.calls() != 2 {
		t.Error("what was found served too long")
	}
	f.settle()
	if got := f.a.must(t, caller); f.a.sts.calls() != 2 || !got.Cached {
		t.Errorf("%d calls: the newer one was not found", f.a.sts.calls())
	}
}

// A renewal ahead of time takes what another node has renewed, and nothing older.
func TestSecondLevelRenewal(t *testing.T) {
	f := newFleet(t, nil)
	caller := f.a.caller("t", "orders:read")
	f.a.must(t, caller)
	f.settle()
	f.b.must(t, caller)
	f.a.clock.pass(255 * time.Second) // past three quarters and the spread
	for _, node := range []rig{f.a, f.b} {
		key, err := node.key(nil, caller)
		if err != nil {
			t.Fatal(err)
		}
		node.renewAhead(key, node.state.freshEntry(key, f.a.clock.Now()), caller)
		f.settle()
	}
	if f.a.sts.calls() != 2 {
		t.Errorf("%d calls, want one more for both", f.a.sts.calls())
	}
	if a, b := f.a.must(t, caller), f.b.must(t, caller); a.Token.Digest() != b.Token.Digest() {
		t.Error("the nodes have different tokens")
	}
}

// A refusal at renewal ends the token for all.
func TestSecondLevelRenewalRefused(t *testing.T) {
	f := newFleet(t, nil)
	caller := f.a.caller("t", "orders:read")
	f.a.must(t, caller)
	f.settle()
	key, err := f.a.key(nil, caller)
	if err != nil {
		t.Fatal(err)
	}
	f.a.sts.answers(refuse(http.StatusBadRequest, "invalid_grant"))
	f.a.renewAhead(key, f.a.state.freshEntry(key, f.a.clock.Now()), caller)
	f.settle()
	if held, _ := f.shelf.count(); held != 0 {
		t.Error("other nodes still find it")
	}
}

// What an upstream refused no node finds any more: it is replaced, or gone.
func TestSecondLevelReplace(t *testing.T) {
	for name, fails := range map[string]bool{"replaced": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, nil)
			caller := f.a.caller("t", "orders:read")
			refused := f.a.must(t, caller)
			f.settle()
			if fails {
				f.a.sts.answers(refuse(http.StatusServiceUnavailable, ""))
			}
			replacing, err := f.a.Replace(t.Context(), caller, refused)
			if (err != nil) != fails {
				t.Fatal(err)
			}
			f.settle()
			held, _ := f.shelf.count()
			if fails {
				if held != 0 {
					t.Error("other nodes still find it")
				}
				return
			}
			if found := f.b.must(t, caller); found.Token.Digest() != replacing.Token.Digest() {
				t.Error("another node found the refused one")
			}
		})
	}
}

// Whoever is revoked takes along what other nodes would find, and nobody else's.
func TestSecondLevelEvicts(t *testing.T) {
	f := newFleet(t, nil)
	alice, bob := f.a.caller("alice", "orders:read"), f.a.caller("bob", "orders:read")
	f.a.must(t, alice)
	f.a.must(t, bob)
	f.settle()
	f.b.must(t, alice) // found, and not got
	f.b.state.Evict(func(o Origin) bool { return o.Subject == alice.Token.Subject })
	f.settle()
	if held, _ := f.shelf.count(); held != 1 {
		t.Errorf("%d are held, want bob's", held)
	}
	f.b.must(t, bob)
	if f.a.sts.calls() != 2 {
		t.Error("bob's was evicted too")
	}
}

// A put that meets an eviction is taken back (attack row 46), wherever they meet.
func TestAttack46PutMeetsEviction(t *testing.T) {
	f := newFleet(t, nil)
	caller := f.a.caller("t", "orders:read")
	f.shelf.set(func(s *shelf) {
		s.landing = func() { f.a.state.Evict(func(Origin) bool { return false }) }
	})
	f.a.must(t, caller)
	f.settle()
	if held, _ := f.shelf.count(); held != 0 {
		t.Error("it lies there after the eviction")
	}
}

// What another node got for a caller whose token was revoked meanwhile is not handed
// out, nor kept.
func TestAttack46FoundForRevoked(t *testing.T) {
	gone := new(atomic.Bool)
	f := newFleet(t, func(_ int, c *Config) { c.Revoked = func(*token.Token) bool { return gone.Load() } })
	caller := f.a.caller("t", "orders:read")
	f.a.must(t, caller)
	f.settle()
	gone.Store(true)
	issued, err := f.b.Exchange(t.Context(), caller)
	if OutcomeOf(issued, err) != OutcomeSubjectRejected || f.b.state.Len() != 0 || f.a.sts.calls() != 1 {
		t.Errorf("issued %v, error %v, %d kept", issued, err, f.b.state.Len())
	}
}
