package attack_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// asked sends a good request and returns the answer, which must come without the
// upstream being reached.
func (w *world) asked(path, token string) harness.Answer {
	w.t.Helper()
	reached := len(w.upstream.Received())
	answer := w.get(path, token)
	if len(w.upstream.Received()) != reached {
		w.t.Error("the upstream was reached")
	}
	return answer
}

// A redirect of the token endpoint would take the client's secret and the caller's
// token to wherever it points.
func TestAttack33TokenEndpointRedirect(t *testing.T) {
	w := attacked(t)
	defer w.a.Answer(w.exchange)
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, target := range []string{w.trap.URL + "/token", w.a.URL + "/elsewhere"} {
			t.Run(fmt.Sprint(status, " ", target == w.a.URL+"/elsewhere"), func(t *testing.T) {
				w := attacked(t)
				w.a.Answer(func(_ url.Values, rw http.ResponseWriter) {
					rw.Header().Set("Location", target)
					rw.WriteHeader(status)
				})
				answer := w.asked("/orders/", w.token(nil)).Expect(t, http.StatusBadGateway)
				if answer.Header.Get("Location") != "" || strings.Contains(answer.Body, target) {
					t.Errorf("the caller is told where: %v", answer)
				}
				w.trap.untouched(t)
				if n := w.a.Hits("/elsewhere"); n != 0 {
					t.Errorf("the redirect was followed %d times", n)
				}
			})
		}
	}
}

// Nor are keys taken from where a redirect leads.
func TestAttack33KeySetRedirect(t *testing.T) {
	w := attacked(t)
	set, metadata := harness.NewAuthServer(t), harness.NewAuthServer(t)
	to := func(target string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, target, http.StatusTemporaryRedirect)
		}
	}
	set.Handle("/jwks", to(w.trap.URL+"/jwks"))
	for _, name := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		metadata.Handle(name, to(w.trap.URL+name))
	}
	gateway := harness.Start(t, "$SITE {\n\ttoken_auth $SET $METADATA {\n\t\taudience any\n\t}\n\trespond in\n}\n",
		"$SET", set.URL, "$METADATA", metadata.URL)
	for _, issuer := range []string{set.URL, metadata.URL} {
		gateway.Get("/", w.thief.Sign(nil, tokentest.Claims(issuer, nil))).Expect(t, http.StatusServiceUnavailable)
	}
	harness.Eventually(t, "the key set was asked for", func() bool {
		return set.Hits("/jwks") > 0 && metadata.Hits("/.well-known/openid-configuration") > 0
	})
	w.trap.untouched(t)
}

// An answer that gives more, other or useless things than what was asked for is no
// answer: its token goes nowhere and is not kept.
func TestAttack45ExchangeWidening(t *testing.T) {
	w := attacked(t)
	defer w.a.Answer(w.exchange)
	jwt := func(changes map[string]any) string {
		claims := map[string]any{"aud": "orders", "scope": "orders:read orders:write", "client_id": harness.ClientID, "jti": "x"}
		maps.Copy(claims, changes)
		return w.a.Token(claims)
	}
	const wide = "orders:read orders:write orders:admin"
	tests := map[string]map[string]any{
		"scope wider":                    {"scope": wide},
		"scope another":                  {"scope": "orders:delete"},
		"scope wider in the token":       {"scope": nil, "access_token": jwt(map[string]any{"scope": wide})},
		"scope wider in the token alone": {"scope": "orders:read", "access_token": jwt(map[string]any{"scope": wide})},
		"scope a list in the token":      {"scope": nil, "access_token": jwt(map[string]any{"scope": []string{"orders:admin"}})},
		"token_type mac":                 {"token_type": "mac"},
		"token_type DPoP":                {"token_type": "DPoP"},
		"token_type N_A":                 {"token_type": "N_A"},
		"token_type absent":              {"token_type": nil},
		"token_type a number":            {"token_type": 1},
		"issued_token_type refresh":      {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
		"issued_token_type id":           {"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"},
		"issued_token_type unknown":      {"issued_token_type": "urn:x"},
		"issued_token_type absent":       {"issued_token_type": nil},
		"expired by expires_in":          {"expires_in": 0},
		"expired long ago by expires_in": {"expires_in": -1},
		"expired by its exp":             {"access_token": jwt(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})},
		"expires_in in words":            {"expires_in": "soon"},
		"the caller's audience":          {"access_token": jwt(map[string]any{"aud": "https://api.example.com"})},
		"access_token absent":            {"access_token": nil},
		"access_token empty":             {"access_token": ""},
		"access_token an object":         {"access_token": map[string]any{"a": 1}},
		"access_token with a line break": {"access_token": "a\r\nX-Evil: 1"},
		"access_token with a blank":      {"access_token": "a b"},
		"access_token with a comma":      {"access_token": "a,Bearer b\x00"},
		"access_token huge":              {"access_token": strings.Repeat("a", 17<<10)},
		"an error beside a token":        {"error": "access_denied"},
	}
	for name, changes := range tests {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			w.a.Answer(func(form url.Values, rw http.ResponseWriter) { w.answer(rw, w.issued(form, changes)) })
			token := w.token(nil)
			for range 2 {
				w.asked("/orders/", token).Expect(t, http.StatusBadGateway)
			}
			w.a.Answer(w.exchange)
			if got := w.accepted("/orders/", token); subjectOf(t, got) != "alice" || got.Holds("X-Evil") {
				t.Errorf("after a good answer the upstream got %v", got.Header)
			}
		})
	}
}

// A server that hands back what it got would have the gateway pass it on.
func TestAttack45CallersOwnToken(t *testing.T) {
	w := attacked(t)
	defer w.a.Answer(w.exchange)
	w.a.Answer(func(form url.Values, rw http.ResponseWriter) {
		w.answer(rw, w.issued(form, map[string]any{"access_token": form.Get("subject_token")}))
	})
	for _, path := range []string{"/orders/", "/header/"} {
		w.asked(path, w.token(nil)).Expect(t, http.StatusBadGateway)
	}
}

// The front door wants access tokens for this API, and no other of the many
// tokens that the same keys sign.
func TestAttack48OtherTokensAtTheFrontDoor(t *testing.T) {
	w := attacked(t)
	exchanged := w.accepted("/orders/", w.token(nil)).Bearer()
	tokens := map[string]string{
		"the upstream's":   exchanged,
		"a client's proof": w.a.Key.Sign(map[string]any{"typ": "JWT"}, w.claims(map[string]any{"iss": harness.ClientID, "sub": harness.ClientID, "aud": w.a.URL})),
		"logout token": w.a.Key.Sign(map[string]any{"typ": "JWT"},
			w.claims(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})),
		"bound to a key": w.token(map[string]any{"cnf": map[string]any{"jkt": "x"}}),
		"encrypted":      w.token(nil) + ".a.b",
	}
	for _, typ := range []string{
		"txntoken+jwt", "client-authentication+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-id-jag+jwt", "entity-statement+jwt",
		"token-introspection+jwt", "application/txntoken+jwt", "oauth-authz-req+jwt", "statuslist+jwt", "at+jwt ", "at", "id_token", "JWT+at", "application/application/at+jwt",
	} {
		tokens["typ "+typ] = w.a.Key.Sign(map[string]any{"typ": typ}, w.claims(nil))
	}
	for _, typ := range []string{"Refresh", "Offline", "Logout", "ID", "refresh"} {
		tokens["claim typ "+typ] = w.token(map[string]any{"typ": typ})
	}
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt"} {
		w.accepted("/a/", w.a.Key.Sign(map[string]any{"typ": typ}, w.claims(nil)))
	}
	allRefused(t, "/a/", tokens)
	allRefused(t, "/orders/", map[string]string{"exchanged once more": exchanged})
}

// Servers grant their default when no scope is asked for: nothing left to ask for
// is nothing to ask.
func TestAttack50EmptyScope(t *testing.T) {
	w := attacked(t)
	calls := len(w.a.Forms())
	for _, scope := range []any{"orders:read", "", nil, "billing", "billing:read:all", "BILLING:READ", []string{}, []string{"billing:read x"}} {
		t.Run(fmt.Sprint(scope), func(t *testing.T) {
			w := attacked(t)
			answer := w.asked("/billing/", w.token(map[string]any{"scope": scope})).Expect(t, http.StatusForbidden)
			if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) ||
				!strings.Contains(challenge, `scope="billing:read"`) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	if made := len(w.a.Forms()) - calls; made != 0 {
		t.Errorf("the token endpoint was asked %d times", made)
	}
	w.accepted("/billing/", w.token(map[string]any{"scope": "billing:read orders:read"}))
	if form := w.a.Forms()[calls]; form.Get("scope") != "billing:read" {
		t.Errorf("asked for scope %q", form.Get("scope"))
	}
}

// Another issuer's token is not shown to a server that it is not meant for.
func TestAttack51ForeignSubjectToken(t *testing.T) {
	w := attacked(t)
	calls := len(w.a.Forms())
	foreign := w.b.Token(w.unique(nil))
	for range 2 {
		w.asked("/orders/", foreign).Expect(t, http.StatusForbidden)
	}
	if made := len(w.a.Forms()) - calls; made != 0 {
		t.Errorf("a's token endpoint was asked %d times", made)
	}
	if n := w.b.Hits("/token"); n != 0 {
		t.Errorf("b's token endpoint was asked %d times", n)
	}
	w.accepted("/orders/", w.token(nil))
}
