package introspection

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func answerOf(body []byte, media string) *authserver.Answer {
	return &authserver.Answer{Status: http.StatusOK, MediaType: media, Body: body, SentAt: time.Now()}
}

// A clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestRemembering(t *testing.T) {
	inactive := raw("application/json", `{"active":false}`)
	for name, test := range map[string]struct {
		ttl    time.Duration
		exp    time.Duration // 0: none
		denied bool
		kept   time.Duration
	}{
		"default":                  {DefaultCacheTTL, time.Hour, false, DefaultCacheTTL},
		"shorter":                  {5 * time.Second, time.Hour, false, 5 * time.Second},
		"never past exp":           {time.Minute, 10 * time.Second, false, 10 * time.Second},
		"no exp":                   {20 * time.Second, 0, false, 20 * time.Second},
		"off":                      {0, time.Hour, false, 0},
		"a no":                     {DefaultCacheTTL, 0, true, 10 * time.Second},
		"a no, never past the ttl": {3 * time.Second, 0, true, 3 * time.Second},
		"a no, off":                {0, 0, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			at := &clock{now: time.Now().Truncate(time.Second)}
			r := newRig(t, func(c *Config) { c.CacheTTL, c.Now = test.ttl, at.Now })
			members := map[string]any{"exp": nil}
			if test.exp > 0 {
				members["exp"] = at.Now().Add(test.exp).Unix()
			}
			r.answers(r.active(members))
			if test.denied {
				r.answers(inactive)
			}
			for _, step := range []struct {
				pass  time.Duration
				calls int
			}{{0, 1}, {test.kept - 1, 1}, {1, 2}} {
				if test.kept == 0 {
					step.pass, step.calls = 0, r.calls()+1
				}
				at.pass(step.pass)
				if _, err := r.ask(t, goodToken); (err != nil) != test.denied {
					t.Fatal(err)
				}
				if r.calls() != step.calls {
					t.Errorf("after %v: %d calls, want %d", step.pass, r.calls(), step.calls)
				}
			}
		})
	}
}

// All bytes of a token count, and so does who was asked (attack row 18).
func TestAttack18NothingCrosses(t *testing.T) {
	r := newRig(t, nil)
	prefix := strings.Repeat("x", 32)
	for _, text := range []string{prefix + "1", prefix + "2", prefix} {
		if _, err := r.ask(t, text); err != nil {
			t.Fatal(err)
		}
	}
	if r.calls() != 3 {
		t.Errorf("%d calls for three tokens", r.calls())
	}
	// The same token at another server, over the same state.
	other := newRig(t, nil)
	other.answers(raw("application/json", `{"active":false}`))
	there := other.introspector(t, func(c *Config) { c.State = r.state })
	if _, err := there.Introspect(t.Context(), token.NewRaw(prefix), nil); !errors.Is(err, token.Inactive) || other.calls() != 1 {
		t.Errorf("%d calls, error %v", other.calls(), err)
	}
	if _, err := r.ask(t, prefix); err != nil || r.calls() != 3 {
		t.Errorf("the no of one server reached another: %v", err)
	}
}

// No text in the configuration can be parted in two ways (attack row 19).
func TestAttack19Fingerprints(t *testing.T) {
	seen := make(map[[32]byte]string)
	for _, parts := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "abc", ""}, {"a|b", "", "c"}, {"a", "|b", "c"}} {
		mark := fingerprint(Config{Issuer: parts[0], Endpoint: parts[1], Client: named{id: parts[2]}})
		if other, ok := seen[mark]; ok {
			t.Errorf("%v and %s have one fingerprint", parts, other)
		}
		seen[mark] = fmt.Sprint(parts)
	}
}

// named is a client that is known by its name alone.
type named struct {
	Requester

	id string
}

func (n named) Identity() []string { return []string{n.id} }

// A no replaces a yes at once.
func TestDeniedForgets(t *testing.T) {
	at := &clock{now: time.Now().Truncate(time.Second)}
	r := newRig(t, func(c *Config) { c.Now = at.Now })
	if _, err := r.ask(t, goodToken); err != nil {
		t.Fatal(err)
	}
	at.pass(DefaultCacheTTL)
	r.answers(raw("application/json", `{"active":false}`))
	if _, err := r.ask(t, goodToken); !errors.Is(err, token.Inactive) || r.state.Len() != 0 {
		t.Errorf("%d kept, error %v", r.state.Len(), err)
	}
}

// Revoked while an introspection is under way: the late answer serves those who
// asked before, is not stored, and nobody who comes later waits for it (attack
// row 46).
func TestAttack46Evict(t *testing.T) {
	for name, evict := range map[string]func(*State){
		"some": func(s *State) { s.Evict(func(found *token.Token) bool { return found.Subject == "alice" }) },
		"all":  (*State).EvictAll,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			good := r.active(nil)
			begun, release := make(chan struct{}), make(chan struct{})
			r.answers(func(w http.ResponseWriter, request *http.Request) {
				close(begun)
				<-release
				good(w, request)
			})
			done := make(chan error, 1)
			go func() {
				_, err := r.ask(t, goodToken)
				done <- err
			}()
			<-begun
			evict(r.state)
			r.answers(raw("application/json", `{"active":false}`))
			if _, err := r.ask(t, goodToken); !errors.Is(err, token.Inactive) {
				t.Errorf("who came after the eviction: %v", err)
			}
			close(release)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if r.state.Len() != 0 {
				t.Error("the late answer was stored")
			}
		})
	}
}

func TestEvictMatches(t *testing.T) {
	r := newRig(t, nil)
	for _, who := range []string{"alice", "bob"} {
		r.answers(r.active(map[string]any{"sub": who}))
		if _, err := r.ask(t, "token-of-"+who); err != nil {
			t.Fatal(err)
		}
	}
	bobs := func(found *token.Token) bool { return found.Subject == "bob" }
	if found, evicted := r.state.Count(bobs), r.state.Evict(bobs); found != 1 || evicted != 1 || r.state.Count(bobs) != 0 {
		t.Errorf("%d found, %d evicted", found, evicted)
	}
	_, _ = r.ask(t, "token-of-alice")
	if r.calls() != 2 {
		t.Error("alice was forgotten")
	}
	if _, _ = r.ask(t, "token-of-bob"); r.calls() != 3 {
		t.Error("bob was not")
	}
}

// Made-up tokens fill a small memory of their own.
func TestBounds(t *testing.T) {
	state := NewState(10, 1<<20)
	defer state.Close()
	now := time.Now()
	for n := range 30_000 {
		key := flightKey{cacheKey: cacheKey{digest: token.NewRaw(fmt.Sprint(n)).Digest()}}
		state.deny(key, denial{reason: token.Inactive, until: now.Add(time.Minute)}, now)
		if n < 1000 {
			found := &token.Token{Expiry: now.Add(time.Hour)}
			key.shape[0] = 1
			state.put(key, &entry{token: found, asked: now}, time.Minute, now)
		}
	}
	state.CleanUp()
	if good, denied := state.Len(), state.denied.EstimatedSize(); good > 10 || denied > maxDenied {
		t.Errorf("%d good and %d denied are kept", good, denied)
	}
}

func TestRouter(t *testing.T) {
	a, b := &Introspector{config: Config{Issuer: "a"}}, &Introspector{config: Config{Issuer: "b"}}
	router, err := NewRouter(Route{[]string{"a_", "x_"}, a}, Route{[]string{"b_"}, b})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]*Introspector{"a_1": a, "x_": a, "b_a_": b, "c": nil, "": nil, "A_1": nil, "a": nil} {
		if got := router.Find(token.NewRaw(text)); got != want {
			t.Errorf("%q went to %v", text, got)
		}
	}
	if only, err := NewRouter(Route{nil, a}); err != nil || only.Find(token.NewRaw("c")) != a {
		t.Error(err)
	}
	if named, err := NewRouter(Route{[]string{"a_"}, a}); err != nil || named.Find(token.NewRaw("c")) != nil {
		t.Error("shown to a server that did not issue it")
	}
	for name, routes := range map[string][]Route{
		"no prefix":        {{[]string{"a_"}, a}, {nil, b}},
		"an empty prefix":  {{[]string{""}, a}},
		"the same":         {{[]string{"a_"}, a}, {[]string{"a_"}, b}},
		"one begins other": {{[]string{"a_"}, a}, {[]string{"a_b"}, b}},
	} {
		if _, err := NewRouter(routes...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
