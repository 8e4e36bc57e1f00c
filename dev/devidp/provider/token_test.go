package provider

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestDiscovery(t *testing.T) {
	for _, path := range []string{"", "/realms/main"} {
		t.Run("issuer path "+path, func(t *testing.T) {
			g := start(t, path, nil)
			root := strings.TrimSuffix(g.issuer, path)
			places := []string{g.issuer + pathDiscovery, root + pathMetadata + path}
			for _, place := range places {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, place, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				document := g.must(request).json(t)
				if document["issuer"] != g.issuer || document["jwks_uri"] != g.issuer+"/jwks" ||
					document["token_endpoint"] != g.issuer+"/token" {
					t.Errorf("%s: %v", place, document)
				}
			}
			if status := g.get("/elsewhere").status; status != http.StatusTeapot {
				t.Errorf("a foreign path was answered with %d", status)
			}
		})
	}
}

func TestAccessTokenShape(t *testing.T) {
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			g := start(t, "", func(s *Settings) { s.Algorithm = algorithm })
			answer := g.asGateway(pathToken, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}})
			members := answer.json(t)
			if answer.status != http.StatusOK || answer.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %s", answer.status, answer.header, answer.body)
			}
			token := g.decode(text(members, "access_token"))
			if !token.verified || token.header.Algorithm != algorithm || token.header.ExtraHeaders[jose.HeaderType] != "at+jwt" {
				t.Errorf("verified %v, header %+v", token.verified, token.header)
			}
			lifetime := token.claims["exp"].(float64) - token.claims["iat"].(float64)
			got := map[string]any{
				"iss": token.claims["iss"], "sub": token.claims["sub"], "client_id": token.claims["client_id"],
				"aud": token.claims["aud"], "scope": token.claims["scope"], "lifetime": lifetime,
				"jti": text(token.claims, "jti") != "", "token_type": members["token_type"], "expires_in": members["expires_in"],
			}
			want := map[string]any{
				"iss": g.issuer, "sub": "gateway", "client_id": "gateway", "aud": []any{"https://api.example.com"},
				"scope": "orders:read", "lifetime": 300.0, "jti": true, "token_type": "Bearer", "expires_in": 300.0,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClientCredentials(t *testing.T) {
	tests := map[string]struct {
		form      url.Values
		id, pass  string
		status    int
		errorCode string
		aud       []any
		scope     string
	}{
		"defaults":        {status: 200, aud: []any{"https://api.example.com"}, scope: "orders:read orders:write"},
		"fewer scopes":    {form: url.Values{"scope": {"orders:write"}}, status: 200, aud: []any{"https://api.example.com"}, scope: "orders:write"},
		"audience":        {form: url.Values{"audience": {"orders"}}, status: 200, aud: []any{"orders"}, scope: "orders:read orders:write"},
		"two targets":     {form: url.Values{"audience": {"orders"}, "resource": {"https://billing.example.com"}}, status: 200, aud: []any{"orders", "https://billing.example.com"}, scope: "orders:read orders:write"},
		"foreign target":  {form: url.Values{"audience": {"payroll"}}, status: 400, errorCode: "invalid_target"},
		"foreign scope":   {form: url.Values{"scope": {"payroll:read"}}, status: 400, errorCode: "invalid_scope"},
		"wrong secret":    {id: "gateway", pass: "wrong", status: 401, errorCode: "invalid_client"},
		"unknown client":  {id: "nobody", pass: "x", status: 401, errorCode: "invalid_client"},
		"grant not given": {id: "stranger", pass: "stranger-secret", status: 400, errorCode: "unauthorized_client"},
		"public client":   {id: "web", pass: "", status: 400, errorCode: "unauthorized_client"},
		"secret twice":    {form: url.Values{"client_id": {"gateway"}, "client_secret": {"gateway secret&+"}}, status: 400, errorCode: "invalid_request"},
		"repeated scope":  {form: url.Values{"scope": {"orders:read", "orders:write"}}, status: 400, errorCode: "invalid_request"},
	}
	g := start(t, "", nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}}
			maps.Copy(form, test.form)
			id, pass := test.id, test.pass
			if id == "" {
				id, pass = "gateway", "gateway secret&+"
			}
			answer := g.must(as(g.request(http.MethodPost, pathToken, form), id, pass))
			members := answer.json(t)
			if answer.status != test.status || text(members, "error") != test.errorCode {
				t.Fatalf("got %d %s, want %d %s", answer.status, answer.body, test.status, test.errorCode)
			}
			if test.status == http.StatusUnauthorized && answer.header.Get("WWW-Authenticate") == "" {
				t.Error("a 401 without a challenge")
			}
			if test.errorCode != "" {
				return
			}
			claims := g.decode(text(members, "access_token")).claims
			if diff := cmp.Diff([]any{test.aud, test.scope}, []any{claims["aud"], claims["scope"]}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTokenEndpointReadsTheBodyOnly(t *testing.T) {
	g := start(t, "", nil)
	get := g.must(as(g.request(http.MethodGet, pathToken+"?grant_type=client_credentials", nil), "gateway", "gateway secret&+"))
	if get.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", get.status, get.body)
	}
	query := g.asGateway(pathToken+"?grant_type=client_credentials", url.Values{"scope": {"orders:read"}})
	if text(query.json(t), "error") != "invalid_request" {
		t.Errorf("a grant_type in the query was read: %d %s", query.status, query.body)
	}
	post := g.must(g.request(http.MethodPost, pathToken, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"gateway"}, "client_secret": {"gateway secret&+"},
	}))
	if post.status != http.StatusOK {
		t.Errorf("client_secret_post: %d %s", post.status, post.body)
	}
}
