package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// What a token says counts once its signature is checked, and not before: not for
// a rule, not in a log, not in an answer, not for an error route.
func TestAttack11TamperedPayload(t *testing.T) {
	const canary = "canary-nobody-verified"
	w := attacked(t)
	good := w.token(map[string]any{"scope": "orders:read"})
	w.accepted("/a/", good) // remembered from now on
	parts := strings.Split(good, ".")
	payload := tokentest.JSON(w.claims(map[string]any{
		"sub": canary, "client_id": canary, "jti": canary, "scope": "orders:admin " + canary, "roles": "admin", "email": canary,
		"aud": []string{"https://api.example.com", canary},
	}))
	header := tokentest.JSON(map[string]any{"alg": "ES256", "kid": canary, "typ": "at+jwt"})
	tampered := map[string]string{
		"payload":     parts[0] + "." + tokentest.Encode(payload) + "." + parts[2],
		"by a thief":  w.thief.SignRaw(tokentest.JSON(map[string]any{"alg": "ES256", "kid": "k1"}), payload),
		"header":      w.a.Key.SignRaw(header, payload),
		"typ":         w.thief.Sign(map[string]any{"typ": canary}, map[string]any{"iss": w.a.URL, "sub": canary}),
		"iss":         w.thief.Sign(nil, map[string]any{"iss": canary, "sub": canary}),
		"type":        w.thief.Sign(nil, map[string]any{"iss": w.a.URL, "sub": []string{canary}}),
		"not a token": canary + "." + canary + "." + canary,
	}
	logged, reached, failed := len(w.gateway.Log()), len(w.upstream.Received()), len(w.failures.Received())
	for name, token := range tampered {
		for _, path := range []string{"/a/", "/roles/", "/orders/", w.errors + "/", w.errors + "/dead/"} {
			answer := w.get(path, token)
			if strings.HasPrefix(path, "/") {
				answer.Expect(t, http.StatusUnauthorized)
			}
			if strings.Contains(answer.Body, canary) || strings.Contains(strings.Join(answer.Header["Www-Authenticate"], ""), canary) {
				t.Errorf("%s at %s: the answer says what nobody verified: %v", name, path, answer)
			}
		}
	}
	if n := len(w.upstream.Received()); n != reached {
		t.Errorf("the upstream was reached %d times", n-reached)
	}
	for _, got := range w.failures.Received()[failed:] {
		if got.Holds(canary) || got.Header.Get("X-User") != "" || got.Header.Get("X-Email") != "" {
			t.Errorf("an error route is shown what nobody verified: %v", got.Header)
		}
	}
	if strings.Contains(w.gateway.Log()[logged:], canary) || strings.Contains(w.gateway.Metrics(), canary) {
		t.Error("the log or a metric says what nobody verified")
	}
}

// A challenge is the gateway's own text, whatever a token or a request says.
func TestAttack41ChallengeInjection(t *testing.T) {
	w := attacked(t)
	for _, text := range []string{`"`, `x", error="none`, "x\r\nX-Evil: 1", "x\nSet-Cookie: a=b", `\"`, "\x00", "é", `", scope="`, "%0d%0aX-Evil: 1"} {
		for _, token := range []string{
			w.a.Key.Sign(map[string]any{"kid": text}, w.claims(nil)),
			w.a.Key.Sign(map[string]any{"alg": text}, w.claims(nil)),
			w.a.Key.Sign(map[string]any{"typ": text}, w.claims(nil)),
			w.token(map[string]any{"iss": text}),
			w.token(map[string]any{"aud": text}),
		} {
			w.refused("/a/?error="+strings.Trim(tokentest.Encode([]byte(text)), "="), token)
		}
		// A scope that is held is shown to nobody; what is asked for is configured.
		lacking := w.request(http.MethodGet, "/orders/", w.token(map[string]any{"scope": text, "sub": text}))
		answer := w.refusedAs(lacking, http.StatusForbidden, `Bearer realm="gatehouse", error="insufficient_scope", `+
			`error_description="The access token lacks scope that this request needs.", scope="orders:read orders:write"`)
		if answer.Header.Get("X-Evil") != "" || answer.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q became a header of its own: %v", text, answer.Header)
		}
	}
}
