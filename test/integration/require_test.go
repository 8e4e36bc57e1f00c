package integration_test

import (
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const requirements = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
		}
		issuer two http://localhost:9/two http://localhost:9/three {
			audience any
		}
	}
}
(rules) {
	handle /scope {
		token_require scope a b
	}
	handle /any-scope {
		token_require any_scope a b
	}
	handle /audience {
		token_require audience x y
	}
	handle /issuer {
		token_require issuer one
	}
	handle /issuer-by-url {
		token_require issuer https://one.example.com
	}
	handle /issuers {
		token_require issuer two
	}
	handle /client {
		token_require client app web
	}
	handle /claim {
		token_require claim realm.roles admin owner
	}
	handle /claim-number {
		token_require claim level 3
	}
	handle /tenants/* {
		token_require claim tenant {http.request.uri.path.1}
	}
	handle /header {
		token_require claim tenant {http.request.header.X-Tenant}
	}
	handle /block {
		token_require {
			scope a
			any_scope b c
			claim tenant acme
			claim realm.roles admin
		}
	}
	handle /several {
		token_require scope a
		token_require client app
	}
	handle /methods {
		@writes method POST DELETE
		token_require @writes scope write
	}
}
$SITE {
	token_auth one two
	import rules
	respond * "in"
}
`

func TestRequirements(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "k1")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(key))
	gateway := harness.Start(t, requirements, "$DIR", folder)

	roles := func(names ...string) map[string]any { return map[string]any{"realm": map[string]any{"roles": names}} }
	tests := []struct {
		name, request string
		claims        map[string]any
		header        string
		want          string
	}{
		{"all scopes", "GET /scope", map[string]any{"scope": "b a c"}, "", ""},
		{"one scope of two", "GET /scope", map[string]any{"scope": "a"}, "", "scope a b|the token lacks scope b"},
		{"a longer scope", "GET /scope", map[string]any{"scope": "a bb"}, "", "scope a b|the token lacks scope b"},
		{"scopes in a list", "GET /scope", map[string]any{"scope": []string{"a", "b"}}, "", ""},
		{"two scopes in one element", "GET /scope", map[string]any{"scope": []string{"a b"}}, "", "scope a b|the token lacks scope a b"},
		{"any scope", "GET /any-scope", map[string]any{"scope": "b"}, "", ""},
		{"none of the scopes", "GET /any-scope", map[string]any{"scope": "c"}, "", "any_scope a b|the token holds none of the scopes"},
		{"no scope at all", "GET /any-scope", map[string]any{"scope": nil}, "", "any_scope a b|the token holds none of the scopes"},
		{"one audience", "GET /audience", map[string]any{"aud": []string{"z", "y"}}, "", ""},
		{"other audience", "GET /audience", map[string]any{"aud": "z"}, "", "audience x y|the token is for another audience"},
		{"issuer by name", "GET /issuer", nil, "", ""},
		{"issuer by URL", "GET /issuer-by-url", nil, "", ""},
		{"other issuer", "GET /issuers", nil, "", "issuer http://localhost:9/two http://localhost:9/three|the token is from another issuer"},
		{"client", "GET /client", map[string]any{"client_id": "web"}, "", ""},
		{"other client", "GET /client", map[string]any{"client_id": "we"}, "", "client app web|the token was issued to another client"},
		{"no client", "GET /client", map[string]any{"client_id": nil}, "", "client app web|the token was issued to another client"},
		{"claim contains", "GET /claim", roles("user", "owner"), "", ""},
		{"claim contains another", "GET /claim", roles("user"), "", "claim realm.roles admin owner|claim realm.roles has another value"},
		{"claim absent", "GET /claim", nil, "", "claim realm.roles admin owner|the token has no claim realm.roles"},
		{"claim is a number", "GET /claim-number", map[string]any{"level": 3}, "", ""},
		{"claim is another number", "GET /claim-number", map[string]any{"level": 30}, "", "claim level 3|claim level has another value"},
		{"claim is what the path says", "GET /tenants/acme", map[string]any{"tenant": "acme"}, "", ""},
		{"claim is not what the path says", "GET /tenants/other", map[string]any{"tenant": "acme"}, "", "claim tenant {http.request.uri.path.1}|claim tenant has another value"},
		{"claim is what a header says", "GET /header", map[string]any{"tenant": "acme"}, "acme", ""},
		{"header left out, claim empty", "GET /header", map[string]any{"tenant": ""}, "", "claim tenant {http.request.header.X-Tenant}|claim tenant has another value"},
		{"header with a placeholder of its own", "GET /header", map[string]any{"tenant": "acme"}, "{http.auth.user.claim.tenant}", "claim tenant {http.request.header.X-Tenant}|claim tenant has another value"},
		{"every line of a block", "GET /block", merge(roles("admin"), map[string]any{"scope": "a c", "tenant": []string{"acme"}}), "", ""},
		{"a line of a block, scope", "GET /block", merge(roles("admin"), map[string]any{"scope": "a", "tenant": "acme"}), "", "any_scope b c|the token holds none of the scopes"},
		{"a line of a block, claim before scope", "GET /block", merge(roles("admin"), map[string]any{"scope": "", "tenant": "other"}), "", "claim tenant acme|claim tenant has another value"},
		{"several directives", "GET /several", map[string]any{"scope": "a"}, "", ""},
		{"several directives, the first", "GET /several", map[string]any{"scope": "b"}, "", "scope a|the token lacks scope a"},
		{"several directives, the last", "GET /several", map[string]any{"scope": "a", "client_id": "other"}, "", "client app|the token was issued to another client"},
		{"matcher does not match", "GET /methods", nil, "", ""},
		{"matcher matches", "POST /methods", nil, "", "scope write|the token lacks scope write"},
		{"matcher matches a token that may", "DELETE /methods", map[string]any{"scope": "write"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			request := gateway.Request(method, path, key.Sign(nil, tokentest.Claims("https://one.example.com", test.claims)))
			if test.header != "" {
				request.Header.Set("X-Tenant", test.header)
			}
			before := len(gateway.Audit())
			got := gateway.Do(request)
			if test.want == "" {
				got.Expect(t, http.StatusOK)
				if got.Body != "in" {
					t.Errorf("body %q", got.Body)
				}
				return
			}
			got.Expect(t, http.StatusForbidden)
			harness.Eventually(t, "the denial is in the audit trail", func() bool { return len(gateway.Audit()) > before })
			line := gateway.Audit()[before]
			if said := line["rule"].(string) + "|" + line["reason"].(string); said != test.want {
				t.Errorf("the audit trail says %q, want %q", said, test.want)
			}
		})
	}
}

func merge(all ...map[string]any) map[string]any {
	merged := make(map[string]any)
	for _, some := range all {
		maps.Copy(merged, some)
	}
	return merged
}
