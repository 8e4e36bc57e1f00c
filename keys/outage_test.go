package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// An API is what a request meets: a verifier with keys of one issuer.
type api struct {
	verifier *token.Verifier
	source   *keys.Source
	stop     func()
}

const apiIssuer = "https://issuer.example.com"

func newAPI(issuer *fakeIssuer, change func(*keys.Config)) *api {
	source := issuer.source(change)
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{{
		URL: apiIssuer, Keys: source, Algorithms: jose.Asymmetric(),
		Audience: token.Audience{Any: true}, Leeway: 30 * time.Second,
	}}})
	stop := run(source)
	return &api{verifier: verifier, source: source, stop: func() {
		stop()
		elapse(time.Minute) // a fetch that hangs lives until its own deadline
	}}
}

// call is one request with a fresh token: its reason, "" if it passes.
func (a *api) call(t *testing.T, key *tokentest.Key) string {
	t.Helper()
	text := key.Sign(nil, tokentest.Claims(apiIssuer, nil))
	_, _, err := a.verifier.Verify(t.Context(), token.NewRaw(text))
	if err == nil {
		return ""
	}
	if reason, ok := errors.AsType[token.Reason](err); ok {
		return string(reason)
	}
	return err.Error()
}

// load calls once in five seconds and counts the answers.
func (a *api) load(t *testing.T, key *tokentest.Key, lasts time.Duration) map[string]int {
	t.Helper()
	answers := make(map[string]int)
	for end := time.Now().Add(lasts); time.Now().Before(end); elapse(5 * time.Second) {
		answers[a.call(t, key)]++
	}
	return answers
}

// An hour without the issuer: whoever has its keys notices nothing.
func TestHourOfOutageWithKeys(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	for name, fails := range map[string]func(*fakeIssuer){
		"down":  func(f *fakeIssuer) { f.err = errDown },
		"hangs": func(f *fakeIssuer) { f.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t, k1)
			synctest.Test(t, func(t *testing.T) {
				api := newAPI(issuer, nil)
				defer api.stop()
				synctest.Wait()
				issuer.change(fails)
				begin := time.Now()
				if diff := cmp.Diff(map[string]int{"": 720}, api.load(t, k1, time.Hour)); diff != "" {
					t.Error(diff)
				}
				if took := time.Since(begin); took != time.Hour {
					t.Errorf("the calls of one hour took %s: some waited", took)
				}
				if n := len(issuer.times()); n > 200 {
					t.Errorf("%d attempts in an hour of outage", n)
				}
			})
		})
	}
}

// Without keys nothing can be checked, and nothing passes: no token, not even a
// forged one, is called bad or good. The end of the outage mends it.
func TestHourOfOutageWithoutKeys(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	issuer := newIssuer(t, k1)
	issuer.err = errDown
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(issuer, nil)
		defer api.stop()
		if diff := cmp.Diff(map[string]int{"no_keys": 720}, api.load(t, k1, time.Hour)); diff != "" {
			t.Error(diff)
		}
		issuer.change(func(f *fakeIssuer) { f.err = nil })
		elapse(2 * time.Second)
		if reason := api.call(t, k1); reason != "" {
			t.Errorf("after the outage: %s", reason)
		}
	})
}

// Past jwks_max_stale a key that may have been withdrawn long ago serves no more.
func TestOutageBeyondMaxStale(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	issuer := newIssuer(t, k1)
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(issuer, func(c *keys.Config) { c.MaxStale = 30 * time.Minute })
		defer api.stop()
		synctest.Wait()
		issuer.change(func(f *fakeIssuer) { f.err = errDown })
		answers := api.load(t, k1, time.Hour)
		if answers[""] < 360 || answers[""] > 361 || answers[""]+answers["no_keys"] != 720 {
			t.Errorf("answers %v, want half an hour of each", answers)
		}
	})
}

// The issuer replaces its key every 20 minutes, and signs with the new one as soon
// as it is published: no request is refused, and the old key ends with its set.
func TestRotationInSteadyLoad(t *testing.T) {
	generations := make([]*tokentest.Key, 7)
	for i := range generations {
		generations[i] = tokentest.NewKey(t, "ES256", fmt.Sprintf("k%d", i))
	}
	issuer := newIssuer(t, generations[0])
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(issuer, nil)
		defer api.stop()
		for i, key := range generations {
			if i > 0 {
				issuer.publish(t, generations[i-1], key)
			}
			if answers := api.load(t, key, 20*time.Minute); answers[""] != 240 {
				t.Errorf("generation %d: %v", i, answers)
			}
			if i > 0 && i < 3 {
				if reason := api.call(t, generations[i-1]); reason != "" {
					t.Errorf("the key before, still published: %s", reason)
				}
			}
		}
		if reason := api.call(t, generations[0]); reason != "unknown_key" {
			t.Errorf("a key that was withdrawn long ago: %q", reason)
		}
	})
}

// A configured refresh comes before what the issuer says; a set that may not serve
// long is renewed in time.
func TestConfiguredRefresh(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	tests := map[string]struct {
		refresh, stale, every time.Duration
	}{
		"a second":             {time.Second, 0, 800 * time.Millisecond},
		"a day":                {24 * time.Hour, 0, 24 * time.Hour * 8 / 10},
		"no longer than serve": {0, 5 * time.Minute, 4 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t, k1)
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				stop := run(issuer.source(func(c *keys.Config) { c.Refresh, c.MaxStale = test.refresh, max(test.stale, test.refresh) }))
				elapse(test.every + test.every/2)
				stop()
				if asked := issuer.times(); len(asked) != 2 || asked[1].Sub(begin) != test.every {
					t.Errorf("asked at %v, want a renewal after %s", asked, test.every)
				}
			})
		})
	}
}

func TestStaleFromTwiceTheRefresh(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(func(c *keys.Config) { c.Refresh = time.Minute })
		if stale, ok := source.Stale(); stale || ok {
			t.Error("a source without keys says whether they are stale")
		}
		find(t, source, "k1", nil)
		for after, want := range map[time.Duration]bool{0: false, 2 * time.Minute: false} {
			elapse(after)
			if stale, ok := source.Stale(); stale != want || !ok {
				t.Errorf("after %s: stale %t", after, stale)
			}
		}
		elapse(time.Second)
		if stale, ok := source.Stale(); !stale || !ok {
			t.Error("older than twice the refresh, and not stale")
		}
	})
}

// An outage is told twice, at its begin and at its end, whatever is reloaded in
// between, and logged at these two.
func TestOutageIsToldOnce(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		var log bytes.Buffer
		state := keys.NewState()
		with := func(c *keys.Config) {
			c.State, c.Log = state, slog.New(slog.NewTextHandler(&log, nil))
			c.Observe = func(r keys.Refresh) {
				if r.Turned {
					told = append(told, r.Err == nil)
				}
			}
		}
		stop := run(issuer.source(with))
		synctest.Wait()
		issuer.change(func(f *fakeIssuer) { f.err = errDown })
		elapse(30 * time.Minute)
		stop()
		stop = run(issuer.source(with)) // a reload
		elapse(30 * time.Minute)
		issuer.change(func(f *fakeIssuer) { f.err = nil })
		elapse(30 * time.Minute)
		stop()
		if diff := cmp.Diff([]bool{false, true}, told); diff != "" {
			t.Error(diff)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d log lines:\n%s", n, log.String())
		}
	})
}

func TestDroppedKeysAreLoggedOnce(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	issuer.set.Dropped = []jose.DroppedKey{{Index: 1, Reason: "it is not a JWK of a known type"}}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		stop := run(issuer.source(func(c *keys.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }))
		elapse(time.Hour)
		issuer.change(func(f *fakeIssuer) {
			f.set.Dropped = []jose.DroppedKey{{Index: 2, Reason: "its use is not sig", Other: true}}
		})
		elapse(time.Hour)
		stop()
		if n := strings.Count(log.String(), "leaving out a key"); n != 2 {
			t.Errorf("%d log lines, want one for each change:\n%s", n, log.String())
		}
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 {
			t.Errorf("a key for something else is no warning, and any other is:\n%s", text)
		}
	})
}

// A token without kid may be of any key, but not cost a signature check for each of
// hundreds.
func TestTokenWithoutKidIsTriedAgainstFewKeys(t *testing.T) {
	many := make([]*tokentest.Key, 40)
	for i := range many {
		many[i] = tokentest.NewKey(t, "ES256", fmt.Sprintf("k%d", i))
	}
	issuer := newIssuer(t, many...)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		if found := find(t, source, "", nil); len(found) != 16 {
			t.Errorf("%d keys to try, want 16", len(found))
		}
		find(t, source, "k39", nil)
	})
}

func TestRefusedLooksAreCounted(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		refused := 0
		source := issuer.source(func(c *keys.Config) { c.Refused = func() { refused++ } })
		find(t, source, "k1", nil)
		for i := range 100 {
			find(t, source, fmt.Sprintf("invented-%d", i), keys.ErrUnknown)
		}
		if refused != 97 {
			t.Errorf("%d looks were refused, want 97 of 100", refused)
		}
	})
}
