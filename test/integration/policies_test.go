package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const policies = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
		}
		policy reader {
			scope read
		}
		policy payments {
			policy reader mfa
			scope pay
			client app
		}
		policy mfa {
			acr gold silver
			max_auth_age 5m
		}
		policy acme {
			expression token_claim("tenant", {http.request.uri.path.1}) && {http.auth.user.client} == "app"
		}
	}
}
(rules) {
	handle /actor {
		token_require actor robot other
	}
	handle /acr {
		token_require acr gold silver
	}
	handle /amr {
		token_require amr hwk otp
	}
	handle /age {
		token_require max_auth_age 5m
	}
	handle /expression {
		token_require expression {http.auth.user.claim.level} == "3" && {method} == "GET"
	}
	handle /expression-fails {
		token_require expression int({header.X-Level}) > 2
	}
	handle /functions {
		token_require {
			expression "token_scope('read', 'write') || token_claim('tenant', 'acme', 'initech')"
		}
	}
	handle /acme/* {
		token_require policy acme
	}
	handle /payments {
		token_require policy payments
	}
	handle /several {
		token_require acr gold
		token_require {
			scope read
			max_auth_age 1m
		}
	}
	handle /mixed {
		token_require {
			scope read
			acr gold
			amr hwk
		}
	}
	handle /shadow {
		token_require {
			scope write
			shadow
		}
		token_require scope read
	}
}
$SITE {
	token_auth one
	import rules
	respond * "in"
}
`

// A login is what the tokens of these tests say of it.
func login(acr string, age time.Duration, more map[string]any) map[string]any {
	return merge(map[string]any{"acr": acr, "auth_time": time.Now().Add(-age).Unix(), "amr": []string{"pwd"}}, more)
}

const (
	denied       = `403|`
	needsScope   = `403|Bearer realm="gatehouse", error="insufficient_scope", error_description="The access token lacks scope that this request needs."`
	needsLogin   = `401|Bearer realm="gatehouse", error="insufficient_user_authentication", error_description="A newer or stronger login is needed."`
	goldOrSilver = `, acr_values="gold silver"`
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "k1")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(key))
	gateway := harness.Start(t, policies, "$DIR", folder)

	tests := []struct {
		name, request string
		claims        map[string]any
		answer, why   string // "" if it passes
	}{
		{"actor", "GET /actor", map[string]any{"act": map[string]any{"sub": "robot"}}, "", ""},
		{"former actor", "GET /actor", map[string]any{"act": map[string]any{"sub": "x", "act": map[string]any{"sub": "robot"}}}, denied, "actor robot other|the token has another actor, or none"},
		{"no actor", "GET /actor", map[string]any{"sub": "robot", "client_id": "robot"}, denied, "actor robot other|the token has another actor, or none"},
		{"acr", "GET /acr", map[string]any{"acr": "silver"}, "", ""},
		{"acr, other", "GET /acr", map[string]any{"acr": "bronze"}, needsLogin + goldOrSilver, "acr gold silver|the login is of another class (acr), or of none"},
		{"acr, none", "GET /acr", nil, needsLogin + goldOrSilver, "acr gold silver|the login is of another class (acr), or of none"},
		{"amr", "GET /amr", map[string]any{"amr": []string{"pwd", "otp"}}, "", ""},
		{"amr, other", "GET /amr", map[string]any{"amr": []string{"pwd"}}, needsLogin, "amr hwk otp|the login used none of the methods (amr)"},
		{"young login", "GET /age", login("", time.Minute, nil), "", ""},
		{"login within the leeway", "GET /age", login("", 5*time.Minute+20*time.Second, nil), "", ""},
		{"old login", "GET /age", login("", 6*time.Minute, nil), needsLogin + `, max_age="300"`, "max_auth_age 5m|the login is too old (auth_time)"},
		{"login nobody knows of", "GET /age", nil, needsLogin + `, max_age="300"`, "max_auth_age 5m|the token does not say when the user logged in (auth_time)"},
		{"expression", "GET /expression", map[string]any{"level": 3}, "", ""},
		{"expression, another claim", "GET /expression", map[string]any{"level": 4}, denied, `expression {http.auth.user.claim.level} == "3" && {http.request.method} == "GET"|the expression is false`},
		{"expression, another method", "POST /expression", map[string]any{"level": 3}, denied, `expression {http.auth.user.claim.level} == "3" && {http.request.method} == "GET"|the expression is false`},
		{"expression without a value", "GET /expression-fails", nil, denied, `expression int({http.request.header.X-Level}) > 2|the expression cannot be evaluated for this request`},
		{"token_scope", "GET /functions", map[string]any{"scope": "write x read"}, "", ""},
		{"token_claim", "GET /functions", map[string]any{"tenant": []string{"x", "initech"}}, "", ""},
		{"neither", "GET /functions", map[string]any{"scope": "write", "tenant": "acm"}, denied, `expression token_scope('read', 'write') || token_claim('tenant', 'acme', 'initech')|the expression is false`},
		{"token_claim of the path", "GET /acme/acme", map[string]any{"tenant": "acme", "client_id": "app"}, "", ""},
		{"token_claim of another path", "GET /acme/other", map[string]any{"tenant": "acme", "client_id": "app"}, denied, `policy acme: expression token_claim("tenant", {http.request.uri.path.1}) && {http.auth.user.client} == "app"|the expression is false`},
		{"token_claim of nothing", "GET /acme/", map[string]any{"tenant": "", "client_id": "app"}, denied, `policy acme: expression token_claim("tenant", {http.request.uri.path.1}) && {http.auth.user.client} == "app"|the expression is false`},
		{"policies", "GET /payments", login("gold", time.Minute, map[string]any{"scope": "pay read", "client_id": "app"}), "", ""},
		{"policies, scope", "GET /payments", login("gold", time.Minute, map[string]any{"scope": "pay", "client_id": "app"}), needsScope + `, scope="read pay"`, "policy reader: scope read|the token lacks scope read"},
		{"policies, login", "GET /payments", login("gold", time.Hour, map[string]any{"scope": "pay read", "client_id": "app"}), needsLogin + goldOrSilver + `, max_age="300"`, "policy mfa: max_auth_age 5m|the login is too old (auth_time)"},
		{"policies, scope and login", "GET /payments", login("bronze", time.Minute, map[string]any{"scope": "pay", "client_id": "app"}), needsLogin + goldOrSilver + `, max_age="300", scope="read pay"`, "policy mfa: acr gold silver|the login is of another class (acr), or of none"},
		{"policies, what nothing mends", "GET /payments", login("bronze", time.Minute, map[string]any{"scope": "pay", "client_id": "other"}), denied, "policy payments: client app|the token was issued to another client"},
		{"several directives ask for one login", "GET /several", login("gold", time.Hour, map[string]any{"scope": "read"}), needsLogin + `, acr_values="gold", max_age="60"`, "max_auth_age 1m|the login is too old (auth_time)"},
		{"scope alone", "GET /mixed", map[string]any{"acr": "gold", "amr": []string{"hwk"}, "scope": ""}, needsScope + `, scope="read"`, "scope read|the token lacks scope read"},
		{"acr for amr", "GET /mixed", map[string]any{"acr": "gold", "amr": []string{"pwd"}, "scope": "read"}, needsLogin + `, acr_values="gold"`, "amr hwk|the login used none of the methods (amr)"},
		{"shadow, and what is not", "GET /shadow", map[string]any{"scope": "read write"}, "", ""},
		{"what is not in shadow", "GET /shadow", map[string]any{"scope": "write"}, needsScope + `, scope="read"`, "scope read|the token lacks scope read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			before := len(gateway.Audit())
			got := gateway.Do(gateway.Request(method, path, key.Sign(nil, tokentest.Claims("https://one.example.com", test.claims))))
			if test.answer == "" {
				got.Expect(t, http.StatusOK)
				if got.Body != "in" {
					t.Errorf("body %q", got.Body)
				}
				return
			}
			status, challenge, _ := strings.Cut(test.answer, "|")
			got.Expect(t, map[string]int{"401": 401, "403": 403}[status])
			if said := got.Header.Get("WWW-Authenticate"); said != challenge {
				t.Errorf("WWW-Authenticate %q\nwant %q", said, challenge)
			}
			harness.Eventually(t, "the denial is in the audit trail", func() bool { return len(gateway.Audit()) > before })
			line := gateway.Audit()[before]
			if said := line["rule"].(string) + "|" + line["reason"].(string); said != test.why {
				t.Errorf("the audit trail says %q, want %q", said, test.why)
			}
		})
	}
	t.Run("in shadow", func(t *testing.T) { inShadow(t, gateway, key) })
}

// What a rule in shadow would refuse passes, and leaves its mark where operators
// look.
func inShadow(t *testing.T, gateway *harness.Gateway, key *tokentest.Key) {
	t.Helper()
	before := len(gateway.Audit())
	token := key.Sign(nil, tokentest.Claims("https://one.example.com", map[string]any{"scope": "read"}))
	gateway.Get("/shadow", token).Expect(t, http.StatusOK)
	harness.Eventually(t, "the would-be denial is in the audit trail", func() bool { return len(gateway.Audit()) > before })
	line := gateway.Audit()[before]
	if line["msg"] != "shadowed" || line["rule"] != "scope write" || line["reason"] != "the token lacks scope write" || line["status"] != nil || line["level"] != "info" {
		t.Errorf("the audit trail says %v", line)
	}
	if counted := `caddy_gatehouse_decisions_total{outcome="shadowed",rule="scope"} 1`; !strings.Contains(gateway.Metrics(), counted) {
		t.Errorf("the metrics lack %s", counted)
	}
	warned := gateway.Lines("token_require is in shadow and refuses nobody")
	if len(warned) == 0 || warned[0]["level"] != "warn" || !strings.Contains(warned[0]["place"].(string), "Caddyfile:") {
		t.Errorf("the log warns %v", warned)
	}
}
