package introspection

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// gateOf is a gate for the rig's issuer, whose tokens must be for an audience that
// is always the same.
func (r *rig) gateOf(t *testing.T, always bool, prefixes ...string) *Gate {
	t.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(r.key))
	if err != nil {
		t.Fatal(err)
	}
	verifier := token.NewVerifier(token.VerifierConfig{Bindings: true, Issuers: []*token.Issuer{{
		URL: r.issuer.URL, Algorithms: jose.Asymmetric(), Audience: token.Audience{Values: []string{"https://api.example.com"}},
		Keys: keys.NewStatic(r.issuer.URL, keys.NewState(), set), Asked: always,
	}}})
	router, err := NewRouter(Route{Prefixes: prefixes, Introspector: r.Introspector})
	if err != nil {
		t.Fatal(err)
	}
	if always {
		return NewGate(verifier, router, r.Introspector)
	}
	return NewGate(verifier, router)
}

// What is explained is what Verify does: the same questions, the same end.
func TestExplain(t *testing.T) {
	r := newRig(t, func(config *Config) { config.CacheTTL = 0 })
	thief := tokentest.NewKey(t, "ES256", "k1")
	sign := func(changes map[string]any) string { return r.key.Sign(nil, r.issuer.Claims(changes)) }
	tests := map[string]struct {
		text     string
		always   bool
		prefixes []string
		answer   map[string]any
		failed   string
		asked    int // of Explain and of Verify, each
		reached  bool
	}{
		"opaque":                   {text: goodToken, asked: 1, reached: true},
		"opaque, by its prefix":    {text: goodToken, prefixes: []string{"opaque_"}, asked: 1, reached: true},
		"opaque, nobody's":         {text: goodToken, prefixes: []string{"other_"}, failed: "prefix"},
		"a JWE, by its prefix":     {text: sealedToken, prefixes: []string{sealedToken[:24]}, asked: 1, reached: true},
		"a JWE, without a prefix":  {text: sealedToken, failed: "decryption"},
		"a JWE, nobody's":          {text: sealedToken, prefixes: []string{"opaque_"}, failed: "decryption"},
		"a JWS with the prefix":    {text: sign(nil), prefixes: []string{"ey"}, reached: true},
		"not active":               {text: goodToken, answer: map[string]any{"active": false}, failed: "introspection", asked: 1},
		"for another API":          {text: goodToken, answer: map[string]any{"aud": "x", "exp": 1}, failed: "expiry audience", asked: 1, reached: true},
		"of another issuer":        {text: goodToken, answer: map[string]any{"iss": "https://x.example.com"}, failed: "introspection", asked: 1},
		"no answer":                {text: goodToken, answer: map[string]any{"active": "true"}, failed: "introspection", asked: 1},
		"JWT":                      {text: sign(nil), reached: true},
		"JWT, always":              {text: sign(nil), always: true, asked: 1, reached: true},
		"JWT, the answer says aud": {text: sign(map[string]any{"aud": nil}), always: true, asked: 1, reached: true},
		"JWT, revoked":             {text: sign(nil), always: true, answer: map[string]any{"active": false}, failed: "introspection", asked: 1},
		"JWT, expired":             {text: sign(map[string]any{"exp": 1}), always: true, failed: "expiry"},
		"JWT, forged":              {text: thief.Sign(nil, r.issuer.Claims(nil)), always: true, failed: "signature"},
		"JWT, foreign":             {text: sign(map[string]any{"iss": "https://x.example.com"}), always: true, failed: "issuer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r.answers(r.active(test.answer))
			gate, raw := r.gateOf(t, test.always, test.prefixes...), token.NewRaw(test.text)
			before := r.calls()
			got := gate.Explain(t.Context(), raw)
			if asked := r.calls() - before; asked != test.asked || (asked > 0) != (got.Asked != "" && got.Told.Checks[0].Outcome != token.NotReached) {
				t.Errorf("asked %d times, want %d; the explanation says %q", asked, test.asked, got.Asked)
			}
			var failed []string
			for _, result := range got.Checks() {
				if result.Outcome == token.Failed {
					failed = append(failed, result.Name)
				}
			}
			if strings.Join(failed, " ") != test.failed {
				t.Errorf("failed %v, want %q", failed, test.failed)
			}
			reached := !slices.ContainsFunc(got.Checks(), func(result token.CheckResult) bool { return result.Outcome == token.NotReached })
			if reached != test.reached {
				t.Errorf("all reached: %t", reached)
			}
			found, _, err := gate.Verify(t.Context(), raw)
			if (err == nil) != (test.failed == "") || r.calls()-before != 2*test.asked {
				t.Errorf("Verify says %v, after %d questions", err, r.calls()-before)
			}
			if err == nil && got.Token().Subject != found.Subject {
				t.Errorf("subjects %q and %q", got.Token().Subject, found.Subject)
			}
		})
	}
}
