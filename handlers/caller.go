package handlers

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/policy"
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
	proved bool          // it came under the scheme DPoP
	token  *token.Token  // nil until it was verified
	issuer *token.Issuer // likewise

	// shown are the ways in which the token was shown to be the caller's own.
	shown []string
	// errorCode is the OAuth code of a refusal, for {http.auth.error}.
	errorCode string
	// scopes are what the token_requires of the route asked for so far.
	scopes []string
	// stepUp is the login they asked for so far.
	stepUp policy.StepUp
	// shadowed tells that a token_require in shadow would have refused the request.
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

// speak writes refusals to this caller.
func (c *caller) speak() challenger {
	if c.auth == nil { // no token_auth ran
		return challengerOf(new(config.TokenAuth), jose.Asymmetric())
	}
	speak := c.auth.challenger
	speak.proved = c.proved
	return speak
}

// userID is {http.auth.user.id}.
func (c *caller) userID() string {
	if c.token == nil {
		return ""
	}
	form := ""
	if c.auth.UserID != nil {
		form = c.auth.UserID.Form
	}
	switch {
	case form == config.UserIDClaim:
		value, _ := c.token.Claims.Lookup(c.auth.UserID.Path)
		return claimText(value)
	case c.token.Subject == "":
		return ""
	case form == config.UserIDIssuerSubject || form == "" && c.auth.app.TrustsMany():
		return c.issuer.UserPrefix + c.token.Subject
	default:
		return c.token.Subject
	}
}

// refuseNobody answers a request that its token_auth let pass without a token,
// where a caller is needed: with that token_auth's own challenge, so that the
// caller is told the same as everywhere.
func (c *caller) refuseNobody(w http.ResponseWriter, r *http.Request, event audit.Event) error {
	reply := c.speak().unauthenticated()
	event.Rule, event.Reason, event.Status = string(token.Missing), "the request carries no token", reply.status
	c.auth.app.Trail().Record(r.Context(), event)
	return reply.write(w, r)
}
