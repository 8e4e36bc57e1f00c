package handlers

import (
	"context"
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
	token  *token.Token  // nil until it was verified
	issuer *token.Issuer // likewise
	proved bool          // it came under the scheme DPoP
	// shadowed tells that a token_require in shadow would have refused the request.
	shadowed bool

	// shown are the ways in which the token was shown to be the caller's own.
	shown []string
	// errorCode is the OAuth code of a refusal, for {http.auth.error}.
	errorCode string
	// scopes are what the token_requires of the route asked for so far.
	scopes []string
	// stepUp is the login they asked for so far.
	stepUp policy.StepUp
	// looked tells that the trail was asked whether it writes grants, and grants what it
	// said.
	looked, grants bool
	// untraced is a context without a span. It is compared and nothing else.
	untraced any
	// filled are the token_exchanges that ran, each with a header of its own.
	filled []*TokenExchange

	// What serving nearly every request needs lies here, in one piece of memory with
	// the caller: each piece more costs a request as much as a directive does.
	private privateWriter  // of the token_auth
	answer  upstreamAnswer // of the first token_exchange
	value   [1]string      // of the first token_exchange's header
}

// String says nothing: {http.vars.gatehouse.caller} is a placeholder like any
// other, and what package fmt would print of a caller belongs to nobody.
func (*caller) String() string { return "caller" }

// callerOf returns the caller of a request, nil where no token_auth ran.
func callerOf(r *http.Request) *caller {
	found, _ := caddyhttp.GetVar(r.Context(), callerVar).(*caller)
	return found
}

// announce makes the caller known to everything behind. It returns the one that
// is known already, if there is one, and then changes nothing. behind is a token_exchange
// that has put a token on the request with no token_auth before it: what lies there is no
// caller's, and who took it for one would let everybody in as the gateway.
func (c *caller) announce(r *http.Request) (earlier *caller, behind *TokenExchange) {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if earlier, _ = vars[callerVar].(*caller); earlier == nil && vars != nil {
		vars[callerVar] = c
	}
	if nobody, _ := vars[nobodyVar].(*caller); nobody != nil && len(nobody.filled) > 0 {
		behind = nobody.filled[len(nobody.filled)-1]
	}
	return earlier, behind
}

// recorded tells whether grants to this caller are written down. It is the same for all
// directives of a request.
func (c *caller) recorded(ctx context.Context, trail *audit.Trail) bool {
	if !c.looked {
		c.looked, c.grants = true, trail.Wants(ctx, audit.Granted)
	}
	return c.grants
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
