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

func TestExplainEncrypted(t *testing.T) {
	w := newWorld(t, "ES256")
	key, stranger := tokentest.NewKey(t, "RS256", ""), tokentest.NewKey(t, "RS256", "")
	good, bad := w.sign(nil, nil).Reveal(), w.sign(nil, map[string]any{"aud": "x"}).Reveal()
	seal := func(to *tokentest.Key, inner string) token.Raw {
		return token.NewRaw(tokentest.Encrypt(t, to.Private.Public(), nil, inner))
	}
	tests := map[string]struct {
		keys   token.Decrypter
		raw    token.Raw
		failed string
		reason error
	}{
		"opened":          {decrypterOf(t, key), seal(key, good), "", nil},
		"bad inside":      {decrypterOf(t, key), seal(key, bad), "audience", token.WrongAudience},
		"another's":       {decrypterOf(t, key), seal(stranger, good), "decryption", token.Undecryptable},
		"no keys":         {nil, seal(key, good), "decryption", token.Encrypted},
		"nonsense inside": {decrypterOf(t, key), seal(key, "a.b.c"), "format", token.NotJWT},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.issuer.Decrypter = test.keys
			w.trust(w.issuer)
			got := w.verifier.Explain(t.Context(), test.raw)
			if len(got.Checks) != len(everyCheck)+1 || got.Checks[0].Name != "decryption" {
				t.Fatalf("%d checks, the first is %s", len(got.Checks), got.Checks[0].Name)
			}
			var failed string
			var reason error
			for _, result := range got.Checks {
				if result.Outcome == token.Failed {
					failed, reason = result.Name, result.Err
				}
			}
			if failed != test.failed || !errors.Is(reason, test.reason) {
				t.Errorf("failed %q with %v, want %q with %v", failed, reason, test.failed, test.reason)
			}
			if _, err := w.verify(t, test.raw); got.Good() != (err == nil) {
				t.Errorf("good %t, but Verify says %v", got.Good(), err)
			}
			if read := got.Inner.Has("kid") && got.Header.Has("enc"); read != (failed == "" || failed == "audience") {
				t.Errorf("headers %v and %v", got.Header.Names(), got.Inner.Names())
			}
		})
	}
}

func FuzzExplain(f *testing.F) {
	w := newWorld(f, "ES256")
	f.Add(w.sign(nil, nil).Reveal())
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		got := w.verifier.Explain(t.Context(), token.NewRaw(text))
		_, _, err := w.verifier.Verify(t.Context(), token.NewRaw(text))
		want := len(everyCheck)
		if strings.Count(text, ".") == 4 {
			want++ // decryption
		}
		if got.Good() != (err == nil) || len(got.Checks) != want {
			t.Fatalf("good %t with %d checks, but Verify says %v", got.Good(), len(got.Checks), err)
		}
	})
}
