package policy_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// FuzzNothingIsOpen holds every policy against a token that has nothing: no rule
// may let it pass, whatever an operator writes and a request holds.
func FuzzNothingIsOpen(f *testing.F) {
	for _, kind := range []policy.Kind{
		policy.Scope, policy.AnyScope, policy.Audience, policy.Issuer, policy.Client, policy.Role, policy.Actor,
		policy.ACR, policy.MaxAuthAge, policy.AMR, policy.Expr, "policy", "shadow", "unknown",
	} {
		f.Add(string(kind), "", "a", "{x}", "", int64(300), true)
	}
	f.Add("claim", "realm.roles", "admin", "{x}", "null", int64(0), false)
	f.Add("claim", "/", "", "", "", int64(0), false)
	f.Add("claim", ".", "<nil>", "false", "0", int64(-1), true)
	f.Add("max_auth_age", "", "a", "b", "", int64(1)<<62, false)
	f.Fuzz(func(t *testing.T, kind, path, first, second, expanded string, age int64, fails bool) {
		rule := policy.Rule{Kind: policy.Kind(kind), Path: path, Values: []string{first, second}}
		if rule.Kind == policy.MaxAuthAge {
			rule.Age = time.Duration(age)
		}
		if rule.Kind == policy.Expr {
			rule.Expression = verdict{holds: fails}
			if fails {
				rule.Expression = verdict{holds: true, err: errors.New("failed")}
			}
		}
		made, err := policy.New([]policy.Rule{rule})
		if err != nil {
			return
		}
		denied := made.Denies(&policy.Question{
			Token: &token.Token{Claims: token.Claims{}}, Expand: func(string) string { return expanded },
			Request: httptest.NewRequest(http.MethodGet, "/", http.NoBody), Leeway: 2 * time.Minute,
		})
		if denied == nil || denied.Rule == "" || denied.Reason == "" {
			t.Errorf("rule %q %q %q %q let a token pass that has nothing: %+v", kind, path, first, second, denied)
		}
	})
}
