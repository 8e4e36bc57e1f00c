package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/token"
)

var everyCheck = []string{
	"format", "issuer", "claims", "algorithm", "type", "kind", "binding", "expiry", "not_before", "issued_at",
	"age", "audience", "profile", "required_claims", "key", "signature",
}

func TestExplain(t *testing.T) {
	w := newWorld(t, "ES256")
	w.issuer.MaxAge, w.issuer.Require = time.Hour, []string{"jti"}
	thief := tokentest.NewKey(t, "ES256", "k1")
	claims := tokentest.Claims(issuerURL, nil)
	checks := "type kind binding expiry not_before issued_at age audience profile required_claims"
	tests := map[string]struct {
		raw                token.Raw
		failed, notReached string
	}{
		"good":              {w.sign(nil, nil), "", ""},
		"no JWT":            {token.NewRaw("opaque"), "format", "issuer claims algorithm " + checks + " key signature"},
		"empty":             {token.NewRaw(""), "format", "issuer claims algorithm " + checks + " key signature"},
		"foreign":           {w.sign(nil, map[string]any{"iss": "https://x.example.com"}), "issuer", "algorithm " + checks + " key signature"},
		"nobody's, and bad": {w.sign(nil, map[string]any{"iss": nil, "exp": "x"}), "issuer claims", "algorithm " + checks + " key signature"},
		"everything wrong": {
			w.sign(map[string]any{"typ": "logout+jwt", "kid": "k9"}, map[string]any{
				"nonce": "n", "cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "exp": 1, "nbf": 9999999999, "iat": 1, "aud": "x", "jti": "",
			}), "type kind binding expiry not_before age audience required_claims key", "signature",
		},
		"wrong type of a claim": {w.sign(nil, map[string]any{"sub": 1}), "claims", checks},
		"wrong algorithm":       {w.sign(map[string]any{"alg": "none"}, map[string]any{"exp": 1}), "algorithm expiry", "key signature"},
		"thief":                 {token.NewRaw(thief.Sign(nil, claims)), "signature", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.verifier.Explain(t.Context(), test.raw)
			names := map[token.Outcome][]string{}
			var all []string
			for _, result := range got.Checks {
				all = append(all, result.Name)
				names[result.Outcome] = append(names[result.Outcome], result.Name)
				var reason token.Reason
				if failed := result.Outcome == token.Failed; failed != errors.As(result.Err, &reason) {
					t.Errorf("%s: %s, error %v", result.Name, result.Outcome, result.Err)
				}
			}
			if diff := cmp.Diff(everyCheck, all); diff != "" {
				t.Error(diff)
			}
			if failed := strings.Join(names[token.Failed], " "); failed != test.failed {
				t.Errorf("failed %q, want %q", failed, test.failed)
			}
			if skipped := strings.Join(names[token.NotReached], " "); skipped != test.notReached {
				t.Errorf("not reached %q, want %q", skipped, test.notReached)
			}
			_, _, err := w.verifier.Verify(t.Context(), test.raw)
			signed := len(names[token.NotReached]) == 0 || test.notReached == checks
			if got.Good() != (err == nil) || (got.Key != nil) != (signed && test.failed != "signature") {
				t.Errorf("good %t, but Verify says %v", got.Good(), err)
			}
		})
	}
}

func TestExplainShowsWhatIsThere(t *testing.T) {
	w := newWorld(t, "ES256")
	got := w.verifier.Explain(t.Context(), w.sign(map[string]any{"x": "y"}, nil))
	if text, _ := got.Header.Text("x"); text != "y" {
		t.Error("the header is not all there")
	}
	if text, _ := got.Claims.Text("sub"); text != "alice" || got.Token.Subject != "alice" {
		t.Error("the claims are not there")
	}
	if got.Issuer.URL != issuerURL || got.Key.ID() != "k1" || got.Algorithm != "ES256" || got.Key.Thumbprint() == [32]byte{} {
		t.Errorf("issuer %v, key %v, algorithm %s", got.Issuer, got.Key, got.Algorithm)
	}
	if w.cache.Len() != 0 {
		t.Error("the explained token is remembered")
	}
	if jwe := w.verifier.Explain(t.Context(), token.NewRaw(tokentest.Encode([]byte(`{"alg":"dir"}`))+"....")); !jwe.Header.Has("alg") {
		t.Error("the header of an encrypted token is not there")
	}
}

func FuzzExplain(f *testing.F) {
	w := newWorld(f, "ES256")
	f.Add(w.sign(nil, nil).Reveal())
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		got := w.verifier.Explain(t.Context(), token.NewRaw(text))
		_, _, err := w.verifier.Verify(t.Context(), token.NewRaw(text))
		if got.Good() != (err == nil) || len(got.Checks) != len(everyCheck) {
			t.Fatalf("good %t with %d checks, but Verify says %v", got.Good(), len(got.Checks), err)
		}
	})
}
