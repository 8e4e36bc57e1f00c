package token_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A token that has passed is refused from the very moment on at which any check would
// refuse it, however often it has passed before.
func TestPassedTokenIsRefusedInTime(t *testing.T) {
	begin := time.Now().Truncate(time.Second)
	times := func(exp, iat, nbf time.Duration) map[string]any {
		return map[string]any{"exp": begin.Add(exp).Unix(), "iat": begin.Add(iat).Unix(), "nbf": begin.Add(nbf).Unix()}
	}
	tests := map[string]struct {
		claims map[string]any
		age    time.Duration
		turn   time.Duration // from begin on, when it turns bad
		want   token.Reason
	}{
		"expiry and leeway":     {times(time.Minute, 0, 0), 0, 90 * time.Second, token.Expired},
		"age and leeway":        {times(time.Hour, 0, 0), time.Minute, 90 * time.Second, token.TooOld},
		"expiry before the age": {times(time.Minute, 0, 0), time.Hour, 90 * time.Second, token.Expired},
		"clock set back to nbf": {times(time.Hour, -time.Hour, 20*time.Second), 0, -11 * time.Second, token.NotYetValid},
		"clock set back to iat": {times(time.Hour, 20*time.Second, 0), 0, -11 * time.Second, token.NotYetValid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "ES256")
			issuer := *w.issuer
			issuer.MaxAge = test.age
			now := begin
			verifier := token.NewVerifier(token.VerifierConfig{
				Issuers: []*token.Issuer{&issuer}, Cache: w.cache, Now: func() time.Time { return now },
			})
			raw := w.sign(nil, test.claims)
			for range 40 { // long ways and short ones
				if _, _, err := verifier.Verify(t.Context(), raw); err != nil {
					t.Fatal(err)
				}
			}
			now = begin.Add(test.turn)
			for range 3 {
				if _, _, err := verifier.Verify(t.Context(), raw); !errors.Is(err, test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
			}
			if now = begin.Add(test.turn - time.Millisecond); test.turn < 0 {
				now = begin.Add(test.turn + time.Second)
			}
			if _, _, err := verifier.Verify(t.Context(), raw); err != nil {
				t.Errorf("a moment before: %v", err)
			}
		})
	}
}

// Each verifier has its own say, and none keeps what the issuer or the cache has let go.
func TestPassedTokenOfOneVerifierAlone(t *testing.T) {
	w := newWorld(t, "ES256")
	raw := w.sign(nil, nil)
	pass := func(verifier *token.Verifier) (err error) {
		for range 40 {
			if _, _, err = verifier.Verify(t.Context(), raw); err != nil {
				return err
			}
		}
		return nil
	}
	if err := pass(w.verifier); err != nil {
		t.Fatal(err)
	}
	other := token.NewVerifier(token.VerifierConfig{
		Issuers: []*token.Issuer{w.issuer}, Cache: w.cache, Audience: token.Audience{Values: []string{"another"}},
	})
	if err := pass(other); !errors.Is(err, token.WrongAudience) {
		t.Errorf("on a route for another audience: %v", err)
	}
	before := w.cache.Stats().Hits
	if err := pass(w.verifier); err != nil || w.cache.Stats().Hits != before+40 {
		t.Errorf("%d hits are counted of 40: %v", w.cache.Stats().Hits-before, err)
	}
	if w.cache.Evict(func(*token.Token) bool { return true }) != 1 {
		t.Fatal("it is not remembered")
	}
	misses := w.cache.Stats().Misses
	if _, err := w.verify(t, raw); err != nil || w.cache.Stats().Misses != misses+1 {
		t.Errorf("an evicted token was not verified anew: %v", err)
	}
	w.publish(t, tokentest.NewKey(t, "ES256", "k2"))
	if err := pass(w.verifier); !errors.Is(err, token.UnknownKey) {
		t.Errorf("the key is gone: %v", err)
	}
}

// Two tokens that share a place are not taken for each other.
func TestPassedTokensShareAPlace(t *testing.T) {
	w := newWorld(t, "ES256")
	cache := token.NewCache(5000, 64<<20)
	t.Cleanup(cache.Close)
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{w.issuer}, Cache: cache})
	raws := make([]token.Raw, 1500) // more than there are places
	for i := range raws {
		raws[i] = w.sign(nil, map[string]any{"sub": "user", "jti": string(rune('a'+i%26)) + time.Duration(i).String()})
	}
	for range 3 {
		for _, raw := range raws {
			found, _, err := verifier.Verify(t.Context(), raw)
			if err != nil || found.Digest != raw.Digest() {
				t.Fatalf("another token: %v", err)
			}
		}
	}
}

// The cache learns that a token is used although most of its uses pass it by: many others
// that come a few times do not push it out.
func TestPassedTokenStaysWhileItIsUsed(t *testing.T) {
	w := newWorld(t, "EdDSA")
	hot := w.sign(nil, map[string]any{"jti": "hot"})
	const others = 600
	for i := range others {
		for range 20 {
			if _, err := w.verify(t, hot); err != nil {
				t.Fatal(err)
			}
		}
		other := w.sign(nil, map[string]any{"jti": fmt.Sprint("other", i)})
		for range 8 {
			if _, err := w.verify(t, other); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again := w.cache.Stats().Misses - others - 1; again != 0 {
		t.Errorf("a token that is used much was pushed out %d times", again)
	}
}

// What lies in a place has an end that nanoseconds since 1970 can say, and never a later one
// than its own.
func TestWithin(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct{ until, want time.Time }{
		"soon":         {now.Add(time.Minute), now.Add(time.Minute)},
		"past":         {now.Add(-time.Minute), now.Add(-time.Minute)},
		"far":          {now.Add(25 * time.Hour), now.Add(24 * time.Hour)},
		"out of range": {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), now.Add(24 * time.Hour)},
	} {
		if got := token.Within(now, test.until); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
