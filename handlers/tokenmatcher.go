package handlers

import (
	"net/http"

	"cel.dev/cel-go/cel"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

// TokenMatcher matches a request whose caller's token fulfils every rule. It
// belongs behind token_auth, also in error routes: where none ran it neither
// matches nor does not, and the request is answered with 500. A caller without a
// token does not match.
//
// In expressions there are the functions `token_scope("orders:read", ...)`, true
// if the token holds all of these scopes, and `token_claim("tenant", "acme",
// ...)`, true if the claim is, or contains, one of the values.
type TokenMatcher struct {
	config.TokenMatcher

	app    Services
	policy *policy.Policy
}

// CaddyModule returns the Caddy module information.
func (TokenMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.token",
		New: func() caddy.Module { return new(TokenMatcher) },
	}
}

// Provision implements caddy.Provisioner.
func (m *TokenMatcher) Provision(ctx caddy.Context) (err error) {
	if m.app, err = prepare(ctx, &m.TokenMatcher); err != nil {
		return err
	}
	m.policy, err = provisionRules(ctx, m.app, m.Label(), m.Rules)
	return err
}

// Match implements caddyhttp.RequestMatcher. It never says yes in doubt, but
// callers that negate it lose the error: Caddy calls MatchWithError.
func (m *TokenMatcher) Match(r *http.Request) bool {
	matches, err := m.MatchWithError(r)
	if err != nil {
		caddyhttp.SetVar(r.Context(), caddyhttp.MatcherErrorVarKey, err) //nolint:staticcheck // what is left for callers of this method
	}
	return matches
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *TokenMatcher) MatchWithError(r *http.Request) (bool, error) {
	who := callerOf(r)
	if who == nil {
		reportFault(r, m.app.Known(), m.app.Log(), "token matcher without a token_auth before it", placeOf("token matcher", m.Place))
		return false, caddyhttp.Error(http.StatusInternalServerError, publicError(faultText))
	}
	if who.token == nil {
		return false, nil
	}
	question := who.question(r, m.policy)
	return m.policy.Denies(&question) == nil, nil
}

// CELLibrary implements caddyhttp.CELLibraryProducer. Caddy asks a matcher for it
// that is not provisioned, once for every expression.
func (*TokenMatcher) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return tokenFunctions(ctx), nil
}

// Interface guards.
var (
	_ caddy.Module                      = (*TokenMatcher)(nil)
	_ caddy.Provisioner                 = (*TokenMatcher)(nil)
	_ caddyfile.Unmarshaler             = (*TokenMatcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*TokenMatcher)(nil)
	_ caddyhttp.CELLibraryProducer      = (*TokenMatcher)(nil)
)
