package integration_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// served is a gateway with a token service, and two APIs of its own that take what
// it issues: one reads JWTs, one asks about references.
const served = `{
	debug
	log default {
		level DEBUG
	}
	gatehouse {
		issuer main $IDP {
			audience orders
		}
		issuer self $SITE {
			audience https://billing.example.com
			token_type at+jwt
			introspection {
				client gateway
				prefix ghr_
				cache_ttl 0s
			}
		}
		client gateway {
			issuer self
			client_id https://billing.example.com
			secret canary-service-secret
		}
		sign {
			issuer $SITE
			subject plain
		}
	}
}
$SITE {
	rewrite * /hidden{uri}
	token_service {
		endpoints jwks metadata token introspect revoke ready
		client orders {
			auth secret_hash $HASH
			grants client_credentials token_exchange
			subject_issuer main $SITE
			subject_type access_token
			audience https://billing.example.com stock
			scope billing:read orders:read
			lifetime 5m
		}
		client phantom {
			auth secret_hash $HASH
			grants client_credentials token_exchange
			subject_issuer main
			subject_type access_token
			audience https://billing.example.com
			scope billing:read
			opaque
		}
		client https://billing.example.com {
			auth secret_hash $HASH
		}
	}
	@billing path /hidden/billing
	handle @billing {
		token_auth self
		token_require scope billing:read
		respond "{http.auth.user.subject} by {http.auth.user.actor}"
	}
	@front path /hidden/front
	handle @front {
		token_auth main
		respond front
	}
	respond "in {http.request.orig_uri}"
}
`

func startServed(t *testing.T) (*harness.Gateway, *harness.AuthServer) {
	t.Helper()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, served, "$IDP", idp.URL, "$HASH", harness.ServiceHash())
	gateway.Await("/front", idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	return gateway, idp
}

// A client gets a token of its own, and its API verifies it by the published keys.
func TestServiceClientCredentials(t *testing.T) {
	t.Parallel()
	gateway, _ := startServed(t)
	answer := gateway.Post("/oauth2/token", harness.ServiceForm("orders",
		"grant_type", "client_credentials", "audience", "https://billing.example.com", "scope", "billing:read")).Expect(t, http.StatusOK)
	members := answer.Members()
	if members["token_type"] != "Bearer" || members["scope"] != "billing:read" || members["issued_token_type"] != nil || members["refresh_token"] != nil {
		t.Errorf("the answer is %v", members)
	}
	claims := harness.Claims(t, answer.AccessToken())
	if claims["iss"] != gateway.URL || claims["sub"] != "client:orders" || claims["aud"] != "https://billing.example.com" {
		t.Errorf("the token says %v", claims)
	}
	if got := gateway.Await("/billing", answer.AccessToken(), http.StatusOK); got.Body != "client:orders by " {
		t.Errorf("the API sees %q", got.Body)
	}
	// At another front door it is nobody's token.
	gateway.Get("/front", answer.AccessToken()).Expect(t, http.StatusUnauthorized)
}

// A caller's token becomes one for the next service, with the name of who acts.
func TestServiceTokenExchange(t *testing.T) {
	t.Parallel()
	gateway, idp := startServed(t)
	subject := idp.Token(map[string]any{"aud": "orders", "scope": "billing:read admin"})
	answer := gateway.Post("/oauth2/token", harness.ExchangeForm("orders", subject, "audience", "https://billing.example.com")).Expect(t, http.StatusOK)
	members := answer.Members()
	if members["issued_token_type"] != harness.TypeAccessToken || members["scope"] != "billing:read" {
		t.Errorf("the answer is %v", members)
	}
	if got := gateway.Await("/billing", answer.AccessToken(), http.StatusOK); got.Body != "alice by client:orders" {
		t.Errorf("the API sees %q", got.Body)
	}
	gateway.Get("/billing", subject).Expect(t, http.StatusUnauthorized)
}

// A reference says nothing; the API's gateway asks what it stands for, and hears at
// once that it was revoked.
func TestServicePhantomTokens(t *testing.T) {
	t.Parallel()
	gateway, idp := startServed(t)
	subject := idp.Token(map[string]any{"aud": "phantom", "scope": "billing:read"})
	reference := gateway.Post("/oauth2/token", harness.ExchangeForm("phantom", subject)).Expect(t, http.StatusOK).AccessToken()
	if !strings.HasPrefix(reference, "ghr_") || strings.Contains(reference, ".") {
		t.Fatalf("the reference is %q", reference)
	}
	if got := gateway.Await("/billing", reference, http.StatusOK); got.Body != "alice by client:phantom" {
		t.Errorf("the API sees %q", got.Body)
	}
	// A reload keeps it.
	if err := gateway.Reload(served + "# once more\n"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the reference is good after a reload", func() bool {
		// The system resets connections that wait at the socket that went away.
		answer, err := secureClient(false).Do(gateway.Request(http.MethodGet, "/billing", reference))
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	})
	gateway.Post("/oauth2/revoke", harness.ServiceForm("phantom", "token", reference)).Expect(t, http.StatusOK)
	gateway.Get("/billing", reference).Expect(t, http.StatusUnauthorized)
	about := gateway.Post("/oauth2/introspect", harness.ServiceForm("phantom", "token", reference)).Expect(t, http.StatusOK)
	if about.Body != `{"active":false}` {
		t.Errorf("introspection says %s", about.Body)
	}
}

// S7: every answer is JSON that nobody keeps, refusals too.
func TestS07AnswersAreNotStored(t *testing.T) {
	t.Parallel()
	gateway, idp := startServed(t)
	good := harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", "stock")
	scoped := harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", "stock", "scope", "x")
	reference := gateway.Post("/oauth2/token", good).AccessToken()
	for name, tt := range map[string]struct {
		path   string
		form   url.Values
		status int
		code   any
	}{
		"token":            {"/oauth2/token", good, 200, nil},
		"introspection":    {"/oauth2/introspect", harness.ServiceForm("orders", "token", reference), 200, nil},
		"wrong secret":     {"/oauth2/token", harness.ServiceForm("orders", "client_secret", "wrong"), 401, "invalid_client"},
		"nobody":           {"/oauth2/introspect", url.Values{"token": {"x"}}, 401, "invalid_client"},
		"no token":         {"/oauth2/introspect", harness.ServiceForm("orders"), 400, "invalid_request"},
		"another target":   {"/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", "x"), 400, "invalid_target"},
		"another scope":    {"/oauth2/token", scoped, 400, "invalid_scope"},
		"another grant":    {"/oauth2/token", harness.ServiceForm("orders", "grant_type", "password"), 400, "unsupported_grant_type"},
		"bad subject":      {"/oauth2/token", harness.ExchangeForm("orders", "x", "audience", "stock"), 400, "invalid_request"},
		"foreign subject":  {"/oauth2/token", harness.ExchangeForm("orders", idp.Token(nil), "audience", "stock"), 400, "invalid_request"},
		"in the URL":       {"/oauth2/token?a=b", good, 400, "invalid_request"},
		"another's revoke": {"/oauth2/revoke", harness.ServiceForm("phantom", "token", reference), 400, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := gateway.Post(tt.path, tt.form).Expect(t, tt.status)
			expectHeader(t, answer, "Cache-Control", "no-store")
			expectHeader(t, answer, "Pragma", "no-cache")
			expectHeader(t, answer, "Content-Type", "application/json")
			if got := answer.Members()["error"]; got != tt.code {
				t.Errorf("error is %v, want %v", got, tt.code)
			}
			if challenge := answer.Header.Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) {
				t.Errorf("the challenge is %q", challenge)
			}
		})
	}
	answer := gateway.Get("/oauth2/token", "").Expect(t, http.StatusMethodNotAllowed)
	expectHeader(t, answer, "Allow", "POST")
}

// The keys and the metadata are for everybody, and keys that are known are not sent
// again.
func TestServicePublishes(t *testing.T) {
	t.Parallel()
	gateway, _ := startServed(t)
	answer := gateway.Get("/oauth2/jwks", "").Expect(t, http.StatusOK)
	expectHeader(t, answer, "Cache-Control", "public, max-age=300")
	expectHeader(t, answer, "Access-Control-Allow-Origin", "*")
	set, err := jose.ParseKeySet([]byte(answer.Body))
	if err != nil || len(set.Keys) == 0 || strings.Contains(answer.Body, `"d"`) {
		t.Errorf("the key set: %v: %s", err, answer.Body)
	}
	request := gateway.Request(http.MethodGet, "/oauth2/jwks", "")
	request.Header.Set("If-None-Match", `"x", W/`+answer.Header.Get("ETag"))
	if again := gateway.Do(request).Expect(t, http.StatusNotModified); again.Body != "" {
		t.Errorf("a known key set is sent again: %s", again.Body)
	}
	metadata := gateway.Get("/.well-known/oauth-authorization-server", "").Expect(t, http.StatusOK).Members()
	for name, want := range map[string]any{
		"issuer": gateway.URL, "token_endpoint": gateway.URL + "/oauth2/token", "jwks_uri": gateway.URL + "/oauth2/jwks",
		"introspection_endpoint": gateway.URL + "/oauth2/introspect", "revocation_endpoint": gateway.URL + "/oauth2/revoke",
		"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
	} {
		if diff := cmp.Diff(want, metadata[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	gateway.Get("/oauth2/ready", "").Expect(t, http.StatusOK)
}

// Every other path is the site's.
func TestServiceAnswersItsPathsOnly(t *testing.T) {
	t.Parallel()
	gateway, _ := startServed(t)
	for _, path := range []string{
		"/", "/oauth2", "/oauth2/", "/oauth2/token/", "/oauth2/Token", "/oauth2/tokens", "/x/oauth2/token", "//oauth2/token",
		"/.well-known/oauth-authorization-server/x", "/.well-known/openid-configuration",
	} {
		if answer := gateway.Get(path, "").Expect(t, http.StatusOK); answer.Body != "in "+path {
			t.Errorf("%s: %q", path, answer.Body)
		}
	}
}

// The trail tells who asked for what, for whom, and what was decided. Neither it nor
// any other line holds a secret, a token or the user's name.
func TestServiceAuditTrail(t *testing.T) {
	t.Parallel()
	gateway, idp := startServed(t)
	subject := idp.Token(map[string]any{
		"aud": "orders", "sub": "canary-user", "scope": "billing:read", "txn": "call-1", "act": map[string]any{"sub": "robot"},
	})
	issued := gateway.Post("/oauth2/token", harness.ExchangeForm("orders", subject, "audience", "stock", "scope", "billing:read admin")).Expect(t, http.StatusOK)
	gateway.Post("/oauth2/token", harness.ExchangeForm("orders", subject, "audience", "canary-target")).Expect(t, http.StatusBadRequest)
	gateway.Post("/oauth2/token", harness.ServiceForm("orders", "client_secret", "canary-wrong")).Expect(t, http.StatusUnauthorized)
	gateway.Post("/oauth2/introspect", harness.ServiceForm("orders", "token", issued.AccessToken())).Expect(t, http.StatusOK)
	var lines []map[string]any
	harness.Eventually(t, "four audit lines", func() bool {
		lines = nil
		for _, line := range gateway.Audit() {
			if line["directive"] == "token_service" {
				lines = append(lines, line)
			}
		}
		return len(lines) == 4
	})
	claims := harness.Claims(t, issued.AccessToken())
	for name, want := range map[string]any{
		"jti": harness.Claims(t, subject)["jti"], "txn": "call-1", "earlier_actors": "robot", "msg": "granted", "endpoint": "token", "requester": "orders", "grant": harness.GrantTokenExchange, "subject_issuer": idp.URL,
		"actor": "client:orders", "target_audience": "stock", "asked_scope": "admin billing:read", "granted_scope": "billing:read",
		"issued_jti": claims["jti"],
	} {
		if lines[0][name] != want {
			t.Errorf("%s is %v, want %v", name, lines[0][name], want)
		}
	}
	if lines[0]["subject_hash"] == nil || lines[0]["issued_kid"] == nil || lines[1]["rule"] != "target_denied" ||
		lines[2]["rule"] != "client_failed" || lines[2]["requester"] != nil {
		t.Errorf("the lines are %v", lines)
	}
	log := gateway.Log()
	for _, secret := range []string{harness.ServiceSecret, "canary-wrong", "canary-user", "canary-target", subject, issued.AccessToken()} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.20s…", secret)
		}
	}
	if text := gateway.Metrics(); !strings.Contains(text, `caddy_gatehouse_service_requests_total{endpoint="token",outcome="target_denied"} 1`) {
		t.Error("the requests are not counted")
	}
}
