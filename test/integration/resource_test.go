package integration_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const described = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		issuer partners https://login.example.net https://login.example.org {
			audience any
		}
	}
}
$SITE {
	try_files {path} /index.html
	rewrite * /hidden{uri}
	token_resource https://api.example.com/orders {
		scopes orders:read orders:write
		name "Orders of Acme"
		documentation https://developer.example.com/orders
	}
	token_resource https://api.example.com/ {
		authorization_servers https://login.example.net
	}
	token_auth main
	respond "in {http.request.orig_uri}"
}
`

func startDescribed(t *testing.T) (*harness.Gateway, *harness.AuthServer) {
	t.Helper()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, described, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	return gateway, idp
}

// Whoever has no token yet finds out where to get one, wherever rewrites lead.
func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	gateway, idp := startDescribed(t)
	tests := map[string]map[string]any{
		"/.well-known/oauth-protected-resource/orders": {
			"resource":                 "https://api.example.com/orders",
			"authorization_servers":    []any{idp.URL, "https://login.example.net", "https://login.example.org"},
			"scopes_supported":         []any{"orders:read", "orders:write"},
			"bearer_methods_supported": []any{"header"},
			"resource_name":            "Orders of Acme",
			"resource_documentation":   "https://developer.example.com/orders",
		},
		"/.well-known/oauth-protected-resource?a=b": {
			"resource":                 "https://api.example.com/",
			"authorization_servers":    []any{"https://login.example.net"},
			"bearer_methods_supported": []any{"header"},
		},
	}
	for path, want := range tests {
		answer := gateway.Get(path, "").Expect(t, http.StatusOK)
		var got map[string]any
		if err := json.Unmarshal([]byte(answer.Body), &got); err != nil {
			t.Fatalf("%s: %v: %s", path, err, answer.Body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		expectHeader(t, answer, "Content-Type", "application/json")
		expectHeader(t, answer, "Cache-Control", "public, max-age=300")
		expectHeader(t, answer, "Access-Control-Allow-Origin", "*")
		expectHeader(t, answer, "Vary")
		head := gateway.Do(gateway.Request(http.MethodHead, path, "")).Expect(t, http.StatusOK)
		expectHeader(t, head, "Content-Length", answer.Header.Get("Content-Length"))
	}
}

// Every other path is the API's, and every other method is refused.
func TestResourceMetadataIsOnePath(t *testing.T) {
	t.Parallel()
	gateway, idp := startDescribed(t)
	for _, path := range []string{
		"/", "/orders", "/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource/orders/",
		"/.well-known/oauth-protected-resource/orders/1", "/.well-known/oauth-protected-resource/Orders",
		"/.well-known/oauth-protected-resourceorders", "/a/.well-known/oauth-protected-resource",
		"//.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/../secret",
	} {
		gateway.Get(path, "").Expect(t, http.StatusUnauthorized)
		if answer := gateway.Get(path, idp.Token(nil)).Expect(t, http.StatusOK); answer.Body != "in "+path {
			t.Errorf("%s: %q", path, answer.Body)
		}
	}
	const path = "/.well-known/oauth-protected-resource"
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "get"} {
		answer := gateway.Do(gateway.Request(method, path, idp.Token(nil))).Expect(t, http.StatusMethodNotAllowed)
		expectHeader(t, answer, "Allow", "GET, HEAD")
		if problem := problemOf(t, answer); problem["detail"] != "This address answers GET and HEAD only." {
			t.Errorf("%s: %v", method, problem)
		}
	}
}

// Clients in browsers send headers of their own, so they ask first.
func TestResourceMetadataForBrowsers(t *testing.T) {
	t.Parallel()
	gateway, _ := startDescribed(t)
	request := gateway.Request(http.MethodOptions, "/.well-known/oauth-protected-resource/orders", "")
	request.Header.Set("Origin", "https://client.example")
	request.Header.Set("Access-Control-Request-Method", http.MethodGet)
	request.Header.Set("Access-Control-Request-Headers", "mcp-protocol-version")
	answer := gateway.Do(request).Expect(t, http.StatusNoContent)
	expectHeader(t, answer, "Access-Control-Allow-Origin", "*")
	expectHeader(t, answer, "Access-Control-Allow-Headers", "*")
	expectHeader(t, answer, "Access-Control-Allow-Methods", "GET, HEAD")
	expectHeader(t, answer, "Access-Control-Allow-Credentials")
}
