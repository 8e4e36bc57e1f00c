package handlers

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// expressionOf compiles an expression in Caddy's own language, with the functions
// in it.
func expressionOf(t *testing.T, text string) (*caddyhttp.MatchExpression, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	expression := &caddyhttp.MatchExpression{Expr: text}
	err := expression.Provision(ctx)
	return expression, err
}

func TestTokenFunctions(t *testing.T) {
	claims, err := token.ParseClaims([]byte(`{"tenant":["acme","initech"],"level":3,"yes":true,"empty":"","realm":{"roles":["a b"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	held := &token.Token{Scopes: []string{"read", "write"}, Claims: claims}
	for text, want := range map[string]bool{
		`token_scope("read")`:                              true,
		`token_scope("write", "read")`:                     true,
		`token_scope("read", "admin")`:                     false,
		`token_scope("rea")`:                               false,
		`!token_scope("admin")`:                            true,
		`token_claim("tenant", "acme")`:                    true,
		`token_claim("tenant", "other", "initech")`:        true,
		`token_claim("tenant", "acm")`:                     false,
		`token_claim("empty", {http.request.header.X-No})`: false,
		`token_claim("absent", "acme")`:                    false,
		`token_claim("level", "3")`:                        true,
		`token_claim("level", 3)`:                          true,
		`token_claim("yes", "true")`:                       true,
		`token_claim("realm.roles", "a b")`:                true,
		`token_claim("realm.roles", "a")`:                  false,
		`token_claim("tenant", {http.vars.wanted})`:        true,
		`token_claim("tenant", {http.vars.nothing})`:       false,
		`token_scope("read") && token_claim("level", "4")`: false,
	} {
		expression, err := expressionOf(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		request, _ := requestOf(newAuditedApp(), held)
		replacerOf(request.Context()).Set("http.vars.wanted", "initech")
		if got, err := expression.MatchWithError(request); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
		// Nobody has a token, and so neither scopes nor claims.
		nobody, _ := requestOf(newAuditedApp(), nil)
		if got, err := expression.MatchWithError(nobody); got != strings.HasPrefix(text, "!") || err != nil {
			t.Errorf("%s of nobody: %v, %v", text, got, err)
		}
	}
}

// What cannot be meant is refused at load.
func TestTokenFunctionsRefuse(t *testing.T) {
	for text, want := range map[string]string{
		`token_scope()`:                    "token_scope: ",
		`token_scope("")`:                  "token_scope: ",
		`token_scope("a b")`:               "token_scope: ",
		`token_scope({http.vars.scope})`:   "scopes are constant texts",
		`token_claim("tenant")`:            "a value is missing",
		`token_claim()`:                    "a value is missing",
		`token_claim({http.vars.a}, "b")`:  "the path is a constant text",
		`token_claim("", "acme")`:          "token_claim: ",
		`token_claim("tenant", "")`:        "token_claim: ",
		`token_claim("/act/act/sub", "a")`: "leads to a former actor",
		`!token_claim("act.act.sub", "a")`: "leads to a former actor",
	} {
		if _, err := expressionOf(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Where no token_auth ran there is no answer: a negation would let everybody pass.
func TestTokenFunctionsWithoutTokenAuth(t *testing.T) {
	for _, text := range []string{`token_scope("a")`, `!token_scope("a")`, `token_claim("a", "b")`, `!token_claim("a", "b")`} {
		expression, err := expressionOf(t, text)
		if err != nil {
			t.Fatal(err)
		}
		request, _ := requestOf(newAuditedApp(), nil)
		caddyhttp.SetVar(request.Context(), callerVar, nil)
		if got, err := expression.MatchWithError(request); got || err == nil {
			t.Errorf("%s: %v, %v, want an error", text, got, err)
		}
	}
}
