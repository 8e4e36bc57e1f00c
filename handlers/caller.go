package handlers

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// callerVar is the request variable that holds the caller. Request variables
// outlive the handler chain, so matchers, error routes and placeholders see the
// same caller.
const callerVar = "gatehouse.caller"

// A caller is what one request's token_auth learned, for everything behind it.
// It belongs to one request and is used by one goroutine.
type caller struct {
	auth   *TokenAuth
	raw    token.Raw
	token  *token.Token  // nil until it was verified
	issuer *token.Issuer // likewise

	// errorCode is the OAuth code of a refusal, for {http.auth.error}.
	errorCode string
	// scopes are what the token_requires of the route asked for so far.
	scopes []string
	// shadowed tells that a rule under shadow would have denied the request.
	shadowed bool
	// filled are the token_exchanges that ran, each with a header of its own.
	filled []*TokenExchange
}

// String says nothing: {http.vars.gatehouse.caller} is a placeholder like any
// other, and what package fmt would print of a caller belongs to nobody.
func (*caller) String() string { return "caller" }

// callerOf returns the caller of a request, nil where no token_auth ran.
func callerOf(r *http.Request) *caller {
	found, _ := caddyhttp.GetVar(r.Context(), callerVar).(*caller)
	return found
}

// userID is {http.auth.user.id}.
func (c *caller) userID() string {
	if c.token == nil || c.token.Subject == "" {
		return ""
	}
	if c.auth.app.TrustsMany() {
		return c.issuer.UserPrefix + c.token.Subject
	}
	return c.token.Subject
}
