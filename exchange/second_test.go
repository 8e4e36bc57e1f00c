package exchange

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

var errAway = errors.New("away")

// A shelf is a store that nodes share, and what goes wrong with it.
type shelf struct {
	values store.Values

	mu      sync.Mutex
	held    map[string][]byte // as it was put last, by name
	asked   int
	fails   error
	hangs   bool
	landing func() // runs once, before a value is put
}

func newShelf() *shelf { return &shelf{values: store.NewMemory(0), held: make(map[string][]byte)} }

func (s *shelf) Get(ctx context.Context, name string) ([]byte, bool, error) {
	if err := s.fault(ctx); err != nil {
		return nil, false, err
	}
	return s.values.Get(ctx, "test", name)
}

func (s *shelf) Put(ctx context.Context, name string, value []byte, until time.Time) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	landing := s.landing
	s.landing = nil
	s.mu.Unlock()
	if landing != nil {
		landing()
	}
	s.mu.Lock()
	s.held[name] = value
	s.mu.Unlock()
	return s.values.Put(ctx, "test", name, value, until)
}

func (s *shelf) Delete(ctx context.Context, name string) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.held, name)
	s.mu.Unlock()
	return s.values.Delete(ctx, "test", name)
}

func (s *shelf) fault(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	err, hangs := s.fails, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shelf) count() (held, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held), s.asked
}

// A fleet is two nodes with one store and one authorization server.
type fleet struct {
	a, b  rig
	shelf *shelf
	// counted are the outcomes at both.
	counted sync.Map
}

func (f *fleet) counts(outcome SharedOutcome) int64 {
	count, ok := f.counted.Load(outcome)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load()
}

func (f *fleet) settle() {
	f.a.config.Sharing.Level.running.Wait()
	f.b.config.Sharing.Level.running.Wait()
}

const fleetKey = "a key that both nodes have"

// newFleet makes a fleet. change is called for each node, by its number.
func newFleet(tb testing.TB, change func(node int, c *Config)) *fleet {
	tb.Helper()
	f := &fleet{shelf: newShelf()}
	fake, at := newSTS(tb), &clock{now: time.Now()} // the store has a clock of its own
	node := func(number int) rig {
		return rig{newExchanger(tb, fake, at, func(c *Config) {
			c.Sharing = Sharing{
				Level: NewSecondLevel(f.shelf, []byte(fleetKey)), Exchange: []byte("orders"),
				Count: func(outcome SharedOutcome) {
					count, _ := f.counted.LoadOrStore(outcome, new(atomic.Int64))
					count.(*atomic.Int64).Add(1)
				},
			}
			if change != nil {
				change(number, c)
			}
		}), fake, at}
	}
	f.a, f.b = node(0), node(1)
	return f
}

func (r rig) must(tb testing.TB, caller Caller) *Issued {
	tb.Helper()
	issued, err := r.Exchange(tb.Context(), caller)
	if err != nil {
		tb.Fatal(err)
	}
	return issued
}

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

// What cannot be read, or lies under another name, counts as not there.
func TestSecondLevelDamaged(t *testing.T) {
	for name, damage := range map[string]func(value, other []byte) []byte{
		"cut":           func(value, _ []byte) []byte { return value[:len(value)-1] },
		"longer":        func(value, _ []byte) []byte { return append(value, 0) },
		"empty":         func([]byte, []byte) []byte { return nil },
		"next release":  func(value, _ []byte) []byte { value[0]++; return value },
		"another one's": func(_, other []byte) []byte { return other },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, nil)
			other := f.a.caller("other", "orders:read")
			f.a.must(t, other)
			f.settle()
			others := f.shelf.held[string(sliceOf(f.a.place(other).name))]
			caller := f.a.caller("t", "orders:read")
			f.a.must(t, caller)
			f.settle()
			at := string(sliceOf(f.a.place(caller).name))
			if err := f.shelf.Put(t.Context(), at, damage(f.shelf.held[at], others), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			f.b.must(t, caller)
			f.settle()
			if f.a.sts.calls() != 3 || f.counts(SharedUnreadable) != 1 {
				t.Errorf("%d calls, %d unreadable", f.a.sts.calls(), f.counts(SharedUnreadable))
			}
		})
	}
}

func sliceOf(name secondName) []byte { return name[:] }

// A store that fails is asked once a second and fails no exchange.
func TestSecondLevelDown(t *testing.T) {
	f := newFleet(t, nil)
	f.shelf.set(func(s *shelf) { s.fails = errAway })
	for _, text := range []string{"t", "u", "v"} {
		f.a.must(t, f.a.caller(text, "orders:read"))
	}
	f.settle()
	if _, asked := f.shelf.count(); asked != 1 || f.counts(SharedError) != 1 || f.counts(SharedSkipped) != 5 {
		t.Errorf("asked %d times: %d errors, %d skipped", asked, f.counts(SharedError), f.counts(SharedSkipped))
	}
}

// After its rest one caller tries whether the store works again. One that hangs costs
// what patience there is, once.
func TestSecondLevelRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := newShelf()
		level := NewSecondLevel(away, []byte(fleetKey))
		get := func() (time.Duration, error) {
			began := time.Now()
			_, _, err := level.get(t.Context(), secondName{})
			return time.Since(began), err
		}
		away.set(func(s *shelf) { s.hangs = true })
		if took, err := get(); took != readPatience || err == nil {
			t.Errorf("a store that hangs: %v after %v", err, took)
		}
		if took, err := get(); took != 0 || !errors.Is(err, errRests) {
			t.Errorf("right after: %v after %v", err, took)
		}
		<-time.After(secondRests)
		var together sync.WaitGroup
		var skipped atomic.Int64
		for range 10 {
			together.Go(func() {
				if _, err := get(); errors.Is(err, errRests) {
					skipped.Add(1)
				}
			})
		}
		together.Wait()
		if skipped.Load() != 9 {
			t.Errorf("%d of 10 were spared", skipped.Load())
		}
		away.set(func(s *shelf) { s.hangs = false })
		<-time.After(secondRests)
		for range 2 {
			if _, err := get(); err != nil {
				t.Error("it answers again:", err)
			}
		}
	})
}

// Whoever leaves, and a store that is full, say nothing against reading it.
func TestSecondLevelDoesNotRestInVain(t *testing.T) {
	away := newShelf()
	level := NewSecondLevel(away, []byte(fleetKey))
	gone, leave := context.WithCancel(t.Context())
	leave()
	away.set(func(s *shelf) { s.hangs = true })
	if _, found, err := level.get(gone, secondName{}); found || err == nil {
		t.Error("something was found by nobody")
	}
	away.set(func(s *shelf) { s.hangs, s.fails = false, store.ErrFull })
	_ = level.put(t.Context(), secondName{}, nil, time.Now())
	away.set(func(s *shelf) { s.fails = nil })
	if _, _, err := level.get(t.Context(), secondName{}); err != nil {
		t.Error(err)
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

// FuzzSecondValue reads whatever a store may give back: what is read at all is what was
// written.
func FuzzSecondValue(f *testing.F) {
	name := secondName{1, 2, 3}
	now := time.UnixMilli(1_700_000_000_000)
	for _, value := range []secondValue{
		{token: "t", sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Hour)},
		{token: "t", id: "i", scope: []string{"a", ""}, sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Minute)},
		{token: "t", scope: []string{}, sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Hour)},
	} {
		f.Add(value.encode(name))
	}
	f.Add([]byte{secondVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := decodeSecond(name, data)
		if err != nil {
			return
		}
		if again := value.encode(name); !bytes.Equal(again, data) {
			t.Errorf("%q was read, and would be written as %q", data, again)
		}
		life := value.life(value.sent.Add(time.Minute))
		if life.keepUntil.Sub(life.sent) > time.Minute || life.freshUntil.After(life.keepUntil) {
			t.Errorf("a life of %+v", life)
		}
	})
}
