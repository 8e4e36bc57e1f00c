//go:build interop

package keycloak

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Standard token exchange with the lines of examples/exchange-keycloak, and what
// ends it: another audience, a dead session, a revoked token.
func TestExchange(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := example(t, "exchange-keycloak", r, upstream)
	token := r.token("web", "alice", "orders:read orders:write")
	gateway.Await("/orders/1", token, http.StatusOK)
	got := upstream.Last(t)
	if got.Bearer() == "" || got.Holds(token) {
		t.Fatalf("the upstream got %v", got.Header)
	}
	claims := harness.Claims(t, got.Bearer())
	if claims["aud"] != "orders" || claims["azp"] != "gateway" || claims["scope"] != "orders:read" || claims["sub"] != harness.Claims(t, token)["sub"] {
		t.Errorf("the upstream's token holds %v", claims)
	}

	gateway.Get("/orders/1", r.token("web", "alice", "")).Expect(t, http.StatusForbidden)                  // Keycloak would give it
	gateway.Get("/orders/1", r.token("elsewhere", "alice", "orders:read")).Expect(t, http.StatusForbidden) // not for the gateway

	for name, end := range map[string]func(map[string]any) harness.Answer{
		"session": func(of map[string]any) harness.Answer {
			return r.post("logout", "web", url.Values{"refresh_token": {of["refresh_token"].(string)}})
		},
		"token": func(of map[string]any) harness.Answer {
			return r.post("revoke", "web", url.Values{"token": {of["access_token"].(string)}})
		},
	} {
		ended := r.grant("web", "alice", "orders:read")
		if answer := end(ended); answer.Status >= http.StatusBadRequest {
			t.Fatalf("ending a %s: %d %s", name, answer.Status, answer.Body)
		}
		answer := gateway.Get("/orders/1", ended["access_token"].(string)).Expect(t, http.StatusUnauthorized)
		if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
	gateway.Get("/orders/1", token).Expect(t, http.StatusOK) // remembered, and its own session lives
	expectNoTokens(t, gateway)
}

// A caller without a right is told so, and a new login would not help.
func TestExchangeNotAvailable(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := r.gateway(exchanging, upstream, "$CLIENT", basic, "$EXCHANGE", "audience stock")
	gateway.Await("/", r.token("web", "alice", ""), http.StatusOK)
	if aud := harness.Claims(t, upstream.Last(t).Bearer())["aud"]; aud != "stock" {
		t.Errorf("the upstream's token is for %v", aud)
	}
	answer := gateway.Get("/", r.token("web", "bob", "")).Expect(t, http.StatusForbidden)
	if !strings.Contains(answer.Body, "access_denied") {
		t.Errorf("bob hears %s", answer.Body)
	}
	gateway.Get("/", r.token("web", "alice", "")).Expect(t, http.StatusOK)
}

// What the operator has to mend is a 502 and an error in the log, never a login.
func TestExchangeMisconfigured(t *testing.T) {
	r := newRealm(t)
	for name, words := range map[string][]string{
		"audience unknown":     {basic, "audience ordres"},
		"audience without way": {basic, "audience orders-api"},
		"scope unknown":        {basic, "audience orders\n scope_exact nonsense"},
		"wrong secret":         {strings.Replace(basic, "gateway-secret", "another-secret", 1), "audience orders"},
		"not switched on":      {strings.ReplaceAll(basic, "gateway", "strict"), "audience orders"},
		"type unknown":         {basic, "audience orders\n requested_type jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := (&realm{issuer: r.issuer, name: r.name, t: t}).gateway(exchanging, harness.NewUpstream(t), "$CLIENT", words[0], "$EXCHANGE", words[1])
			answer := gateway.Await("/", r.token("web", "alice", ""), http.StatusBadGateway)
			if !strings.Contains(answer.Body, "exchange_misconfigured") || answer.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("the caller gets %v %s", answer.Header, answer.Body)
			}
			expectNoTokens(t, gateway)
		})
	}
}

// A token that is bound to the gateway's own key, which Keycloak's answer must be.
func TestExchangeBound(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := r.gateway(exchanging, upstream, "$CLIENT", basic, "$EXCHANGE", "audience orders\n bind dpop\n accept {\n verify keycloak\n }")
	gateway.Await("/", r.token("web", "alice", ""), http.StatusOK)
	got := upstream.Last(t)
	token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "DPoP ")
	if !ok || got.Header.Get("DPoP") == "" {
		t.Fatalf("the upstream got %v", got.Header)
	}
	if claims := harness.Claims(t, token); claims["cnf"] == nil || claims["aud"] != "orders" {
		t.Errorf("the upstream's token holds %v", claims)
	}
}

// Keycloak exchanges a bound token for its own client alone. The session lives, so
// a new login would not help.
func TestExchangeOfBound(t *testing.T) {
	r := newRealm(t)
	gateway := r.gateway(exchanging, harness.NewUpstream(t), "$CLIENT", basic, "$EXCHANGE", "audience orders")
	gateway.Await("/", r.token("web", "alice", ""), http.StatusOK)
	holder := harness.NewHolder(t)
	token := members(t, r.proved(holder, "dpop", password("alice", "")))["access_token"].(string)
	request := holder.Prove(gateway.Request(http.MethodGet, "/", ""), gateway.URL+"/", token, "")
	gateway.Do(request).Expect(t, http.StatusBadGateway)
}

// A token of the gateway's own.
func TestClientCredentials(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := r.gateway(exchanging, upstream, "$CLIENT", basic, "$EXCHANGE", "grant client_credentials\n scope orders:read")
	token := r.token("web", "alice", "orders:read")
	gateway.Await("/", token, http.StatusOK)
	claims := harness.Claims(t, upstream.Last(t).Bearer())
	if claims["azp"] != "gateway" || claims["scope"] != "orders:read" || claims["sub"] == harness.Claims(t, token)["sub"] {
		t.Errorf("the upstream's token holds %v", claims)
	}
}

const basic = "client_id gateway\n secret gateway-secret"

// One site that exchanges, as the client of $CLIENT, for what $EXCHANGE says.
const exchanging = `{
	gatehouse {
		issuer keycloak $ISSUER {
			audience https://api.example.com
			introspection {
				client asker
			}
		}
		client asker {
			issuer keycloak
			client_id gateway
			secret gateway-secret
		}
		client gateway {
			issuer keycloak
			$CLIENT
		}
		exchange upstream {
			client gateway
			$EXCHANGE
		}
	}
}
$SITE {
	token_auth
	token_exchange upstream
	reverse_proxy $UPSTREAM {
		transport gatehouse
	}
}
`

// expectNoTokens looks for anything like a JWT in what the gateway wrote.
func expectNoTokens(t *testing.T, gateway *harness.Gateway) {
	t.Helper()
	if log := gateway.Log(); harness.PartOfToken.MatchString(log) || strings.Contains(log, "-secret") {
		t.Error("a token or a secret is in the log")
	}
}
