//go:build interop

package zitadel_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// A world is the example, a gateway that trusts it, and an upstream.
type world struct {
	*harness.Gateway

	provider provider
	upstream *harness.Upstream
	actor    string // a file with the actor's token
}

func start(t *testing.T, changes ...string) *world {
	t.Helper()
	w := &world{provider: startProvider(t), upstream: harness.NewUpstream(t), actor: filepath.Join(t.TempDir(), "actor")}
	w.act(t, webJWT, admin)
	caddyfile, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	w.Gateway = harness.Start(t, strings.NewReplacer(changes...).Replace(string(caddyfile)),
		"$ISSUER", w.provider.issuer, "$UPSTREAM", w.upstream.Address, "$ACTOR", w.actor)
	w.Await("/jwt/1", w.provider.login(t, webJWT, admin, "custom_scope").AccessToken, http.StatusOK)
	return w
}

// act puts a token of the actor's into the file.
func (w *world) act(t *testing.T, client, name string) {
	t.Helper()
	if err := os.WriteFile(w.actor, []byte(w.provider.login(t, client, name).AccessToken), 0o600); err != nil {
		t.Fatal(err)
	}
}

// denied waits for a refusal in the audit trail and returns its rule.
func (w *world) denied(t *testing.T, path, token string, status int) any {
	t.Helper()
	lines := len(w.Audit())
	w.Get(path, token).Expect(t, status)
	harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(w.Audit()) > lines })
	return w.Audit()[lines]["rule"]
}

// Access tokens that are opaque, which is all that the example's own clients get.
func TestZitadelOpaque(t *testing.T) {
	w := start(t)
	token := w.provider.login(t, web, admin, "custom_scope", "offline_access")
	if strings.Count(token.AccessToken, ".") != 4 {
		t.Fatalf("a token with %d dots", strings.Count(token.AccessToken, "."))
	}
	w.Get("/opaque/1", token.AccessToken).Expect(t, http.StatusOK)
	if w.upstream.Last(t).Holds(token.AccessToken) {
		t.Error("the upstream got the caller's token")
	}
	w.Get("/opaque/1", w.provider.login(t, web, user).AccessToken).Expect(t, http.StatusForbidden) // less scope
	id, _ := token.Extra("id_token").(string)
	for name, refused := range map[string]struct{ token, rule string }{
		"another client's": {w.provider.login(t, api, admin, "custom_scope").AccessToken, "inactive"},
		"a machine's":      {w.machine(t), "inactive"},
		"a refresh token":  {token.RefreshToken, "not_a_jwt"},
		"an ID token":      {id, "wrong_type"},
		"tampered with":    {token.AccessToken[:len(token.AccessToken)-8] + "AAAAAAAA", "inactive"},
		"for another API":  {w.exchanged(t, token.AccessToken, "orders"), "inactive"},
	} {
		t.Run(name, func(t *testing.T) {
			if rule := w.denied(t, "/opaque/1", refused.token, http.StatusUnauthorized); rule != refused.rule {
				t.Errorf("refused by %v, want %s", rule, refused.rule)
			}
		})
	}
	if status, _ := w.provider.post(t, "revoke", web, secret, url.Values{"token": {token.AccessToken}}); status != http.StatusOK {
		t.Fatalf("revoking: %d", status)
	}
	w.Await("/opaque/1", token.AccessToken, http.StatusUnauthorized)
}

// Without the prefix its opaque tokens are JWTs that are encrypted to somebody else.
func TestZitadelWithoutPrefix(t *testing.T) {
	w := start(t, "prefix eyJhbGciOiJBMjU2R0NNS1ci", "")
	token := w.provider.login(t, web, admin, "custom_scope").AccessToken
	if rule := w.denied(t, "/opaque/1", token, http.StatusUnauthorized); rule != "encrypted" {
		t.Errorf("refused by %v", rule)
	}
}

// machine is a token of the example's service user.
func (w *world) machine(t *testing.T) string {
	t.Helper()
	return w.issued(t, "sid1", "verysecret", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid custom_scope"}})
}

// exchanged is a token for another audience, which its own client gets for itself.
func (w *world) exchanged(t *testing.T, token, audience string) string {
	t.Helper()
	return w.issued(t, web, secret, url.Values{
		"grant_type": {harness.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {harness.TypeAccessToken},
		"requested_token_type": {harness.TypeAccessToken}, "audience": {audience}, "scope": {"openid custom_scope"},
	})
}

func (w *world) issued(t *testing.T, client, password string, form url.Values) string {
	t.Helper()
	status, got := w.provider.post(t, "oauth/token", client, password, form)
	token, _ := got["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("asking for a token: %d", status)
	}
	return token
}

// Access tokens that are JWTs. They have no scope.
func TestZitadelJWT(t *testing.T) {
	w := start(t)
	token := w.provider.login(t, webJWT, admin, "custom_scope")
	w.Get("/jwt/1", token.AccessToken).Expect(t, http.StatusOK)
	w.Get("/jwt/scope/1", token.AccessToken).Expect(t, http.StatusForbidden)
	if rule := w.denied(t, "/jwt/1", w.provider.login(t, apiJWT, admin, "custom_scope").AccessToken, http.StatusUnauthorized); rule != "wrong_audience" {
		t.Errorf("a token for another client: %v", rule)
	}
	id, _ := token.Extra("id_token").(string)
	if rule := w.denied(t, "/jwt/1", id, http.StatusUnauthorized); rule != "wrong_type" {
		t.Errorf("an ID token: %v", rule)
	}
}

// Asked about a JWT the example tells its scope, and whether it is revoked.
func TestZitadelAlways(t *testing.T) {
	w := start(t, "client web\n\t\t\t\t#", "client web-jwt\n\t\t\t\talways\n\t\t\t\t#")
	token := w.provider.login(t, webJWT, admin, "custom_scope").AccessToken
	w.Get("/jwt/scope/1", token).Expect(t, http.StatusOK)
	w.Get("/jwt/scope/1", w.provider.login(t, webJWT, user).AccessToken).Expect(t, http.StatusForbidden)
	if status, _ := w.provider.post(t, "revoke", webJWT, secret, url.Values{"token": {token}}); status != http.StatusOK {
		t.Fatalf("revoking: %d", status)
	}
	w.Await("/jwt/1", token, http.StatusUnauthorized)
}

// An exchange for a token with another audience and less scope, of both kinds.
func TestZitadelExchange(t *testing.T) {
	w := start(t)
	token := w.provider.login(t, web, admin, "custom_scope", "profile").AccessToken
	w.Get("/opaque/orders/1", token).Expect(t, http.StatusOK)
	got := w.upstream.Last(t)
	if got.Holds(token) || strings.Count(got.Bearer(), ".") != 4 {
		t.Errorf("the upstream got %v", got.Header)
	}
	for client, want := range map[string]bool{orders: true, api: false} {
		if _, said := w.provider.post(t, "oauth/introspect", client, secret, url.Values{"token": {got.Bearer()}}); said["active"] != want ||
			want && (said["sub"] != "id1" || said["scope"] != "custom_scope openid" || said["client_id"] != api) {
			t.Errorf("the example tells %s %v", client, said)
		}
	}
	w.Get("/jwt/verified/1", w.provider.login(t, webJWT, admin).AccessToken).Expect(t, http.StatusOK)
	claims := harness.Claims(t, w.upstream.Last(t).Bearer())
	if claims["sub"] != "id1" || claims["client_id"] != apiJWT || claims["act"] != nil {
		t.Errorf("the upstream got %v", claims)
	}
	if audience, _ := claims["aud"].([]any); len(audience) != 1 || audience[0] != "orders" {
		t.Errorf("aud is %v", claims["aud"])
	}
}

// In an impersonation the caller is in act and another user in sub.
func TestZitadelImpersonation(t *testing.T) {
	w := start(t)
	token := w.provider.login(t, webJWT, admin, "custom_scope").AccessToken
	w.Get("/jwt/impersonating/1", token).Expect(t, http.StatusOK)
	claims := harness.Claims(t, w.upstream.Last(t).Bearer())
	if act, _ := claims["act"].(map[string]any); claims["sub"] != "id2" || act["sub"] != "id1" {
		t.Errorf("the upstream got %v", claims)
	}
	w.Get("/jwt/impersonating_verified/1", token).Expect(t, http.StatusBadGateway)
}

// With an actor a user who may not impersonate is served too; act is not written.
func TestZitadelDelegation(t *testing.T) {
	w := start(t)
	w.Get("/jwt/delegated/1", w.provider.login(t, webJWT, user, "custom_scope").AccessToken).Expect(t, http.StatusOK)
	if claims := harness.Claims(t, w.upstream.Last(t).Bearer()); claims["sub"] != "id2" || claims["act"] != nil {
		t.Errorf("the upstream got %v", claims)
	}
}

// Refusals, of which the caller hears nothing. What the example's own rules refuse it
// answers with 500, which is an outage to the gateway.
func TestZitadelRefuses(t *testing.T) {
	w := start(t)
	good := w.provider.login(t, webJWT, admin, "custom_scope").AccessToken
	may := w.provider.login(t, webJWT, user, "custom_scope").AccessToken
	if err := os.WriteFile(w.actor, []byte("nobody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(w.upstream.Received())
	for name, refused := range map[string]struct {
		path, token string
		status      int
	}{
		"no right to impersonate": {"verified", may, http.StatusServiceUnavailable},
		"a refresh token comes":   {"plain", good, http.StatusBadGateway},
		"type not supported":      {"jwt", good, http.StatusBadGateway},
		"wrong secret":            {"wrong_secret", good, http.StatusBadGateway},
		"a bad actor":             {"delegated", good, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			answer := w.Get("/jwt/"+refused.path+"/1", refused.token).Expect(t, refused.status)
			for _, word := range []string{"impersonation", "token_type", "secret", "actor"} {
				if strings.Contains(answer.Body, word) {
					t.Errorf("the caller hears %q", answer.Body)
				}
			}
		})
	}
	if got := len(w.upstream.Received()) - before; got != 0 {
		t.Errorf("the upstream got %d requests", got)
	}
}
