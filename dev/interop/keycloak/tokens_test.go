//go:build interop

package keycloak

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// example starts a gateway with the Caddyfile of an example, its names replaced
// by those of this run.
func example(t *testing.T, name string, r *realm, upstream *harness.Upstream, pairs ...string) *harness.Gateway {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATEWAY_SECRET", "gateway-secret")
	return harness.Start(t, strings.NewReplacer(append(pairs,
		"\napi.example.com {", "\n$SITE {",
		"https://idp.example.com/realms/main", r.issuer,
		"https://keycloak.example.com/realms/main", r.issuer,
		"orders.internal:8080", upstream.Address)...).Replace(string(content)))
}

// One site that validates, with further words for the issuer in $WORDS.
const validating = `{
	gatehouse {
		issuer keycloak $ISSUER {
			audience https://api.example.com
			$WORDS
		}
		client gateway {
			issuer keycloak
			client_id gateway
			secret gateway-secret
		}
	}
}
$SITE {
	token_auth
	reverse_proxy $UPSTREAM {
		header_up X-User {http.auth.user.subject}
	}
}
`

func (r *realm) gateway(caddyfile string, upstream *harness.Upstream, pairs ...string) *harness.Gateway {
	r.t.Helper()
	return harness.Start(r.t, caddyfile, append(pairs, "$ISSUER", r.issuer, "$UPSTREAM", upstream.Address)...)
}

// The tokens of Keycloak, with the lines of examples/keycloak.
func TestTokens(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := example(t, "keycloak", r, upstream)
	good := r.grant("web", "alice", "openid")
	token := good["access_token"].(string)
	gateway.Await("/orders/1", token, http.StatusOK)
	if upstream.Last(t).Holds(token) {
		t.Error("the upstream got the caller's token")
	}
	gateway.Get("/orders/1", good["refresh_token"].(string)).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", good["id_token"].(string)).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", r.token("nobody", "alice", "")).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", r.token("web", "bob", "")).Expect(t, http.StatusUnauthorized) // no role, so no audience
}

// The types of RFC 9068, which Keycloak writes where a client is told to, and
// with client_id only where a mapper adds it.
func TestStrictType(t *testing.T) {
	r := newRealm(t)
	gateway := r.gateway(validating, harness.NewUpstream(t), "$WORDS", "token_type at+jwt")
	gateway.Await("/", r.token("strict", "alice", ""), http.StatusOK)
	gateway.Get("/", r.token("web", "alice", "")).Expect(t, http.StatusUnauthorized)
	strict := r.client("strict")
	mapper := strict["protocolMappers"].([]any)[0].(map[string]any)
	r.administer(http.MethodDelete, r.clientURL(strict)+"/protocol-mappers/models/"+mapper["id"].(string), nil, http.StatusNoContent)
	gateway.Get("/", r.token("strict", "alice", "")).Expect(t, http.StatusUnauthorized)
}

// Every asymmetric algorithm that Keycloak signs with.
func TestAlgorithms(t *testing.T) {
	r := newRealm(t)
	gateway := r.gateway(validating, harness.NewUpstream(t), "$WORDS", "")
	for _, algorithm := range []string{"RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"} {
		r.change("web", func(c map[string]any) {
			c["attributes"].(map[string]any)["access.token.signed.response.alg"] = algorithm
		})
		token := r.token("web", "alice", "")
		if got := harness.Header(t, token)["alg"]; got != algorithm {
			t.Errorf("signed with %v, not %s", got, algorithm)
		}
		gateway.Await("/", token, http.StatusOK)
	}
	r.change("web", func(c map[string]any) {
		c["attributes"].(map[string]any)["access.token.signed.response.alg"] = "HS256"
	})
	gateway.Get("/", r.token("web", "alice", "")).Expect(t, http.StatusUnauthorized)
}

// A lightweight token says hardly more than who made it: the rest is asked for.
func TestLightweight(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	plain := r.gateway(validating, upstream, "$WORDS", "")
	plain.Await("/", r.token("web", "alice", ""), http.StatusOK)
	light := r.grant("light", "alice", "openid orders:read")
	token := light["access_token"].(string)
	plain.Get("/", token).Expect(t, http.StatusUnauthorized)

	asking := r.gateway(validating, upstream, "$WORDS", "introspection {\n client gateway\n always\n cache_ttl 0\n }")
	asking.Await("/", token, http.StatusOK)
	full := harness.Claims(t, r.token("web", "alice", ""))
	if got := upstream.Last(t).Header.Get("X-User"); got == "" || got != full["sub"] {
		t.Errorf("the user is %q, not %v", got, full["sub"])
	}
	for _, name := range []string{"refresh_token", "id_token"} {
		asking.Get("/", light[name].(string)).Expect(t, http.StatusUnauthorized)
	}
	if got := r.post("revoke", "light", url.Values{"token": {token}}); got.Status != http.StatusOK {
		t.Fatalf("revoking: %d %s", got.Status, got.Body)
	}
	asking.Get("/", token).Expect(t, http.StatusUnauthorized)
}

// Introspection of tokens that could be read as well, by a client that is in
// their audience. To any other Keycloak says that they are not active.
func TestIntrospection(t *testing.T) {
	r := newRealm(t)
	gateway := r.gateway(validating, harness.NewUpstream(t), "$WORDS", "introspection {\n client gateway\n always\n cache_ttl 0\n }")
	good := r.grant("web", "alice", "openid")
	token := good["access_token"].(string)
	gateway.Await("/", token, http.StatusOK)
	gateway.Get("/", r.token("elsewhere", "alice", "")).Expect(t, http.StatusUnauthorized) // for the API, but not for the gateway
	if got := r.post("logout", "web", url.Values{"refresh_token": {good["refresh_token"].(string)}}); got.Status != http.StatusNoContent {
		t.Fatalf("logging out: %d %s", got.Status, got.Body)
	}
	gateway.Get("/", token).Expect(t, http.StatusUnauthorized)
}

// clientURL is where the admin API has a client.
func (r *realm) clientURL(c map[string]any) string {
	return keycloak.url + "/admin/realms/" + r.name + "/clients/" + c["id"].(string)
}

// client is a client of the realm as the admin API has it.
func (r *realm) client(id string) map[string]any {
	r.t.Helper()
	found := r.administer(http.MethodGet, keycloak.url+"/admin/realms/"+r.name+"/clients?clientId="+id, nil, http.StatusOK)
	var clients []map[string]any
	if err := json.Unmarshal([]byte(found.Body), &clients); err != nil || len(clients) != 1 {
		r.t.Fatalf("clients %q: %v", found.Body, err)
	}
	return clients[0]
}

// change changes a client of the realm.
func (r *realm) change(id string, change func(map[string]any)) {
	r.t.Helper()
	changed := r.client(id)
	change(changed)
	body, err := json.Marshal(changed)
	if err != nil {
		r.t.Fatal(err)
	}
	r.administer(http.MethodPut, r.clientURL(changed), body, http.StatusNoContent)
}
