package handlers

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/proof"
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
	token  *token.Token     // nil until it was verified
	issuer *token.Issuer    // likewise
	found  token.Credential // what the request presented
	// shadowed tells that a token_require in shadow would have refused the request.
	shadowed bool

	// shown are the ways in which the token was shown to be the caller's own.
	shown proof.Kinds
	// errorCode is the OAuth code of a refusal, for {http.auth.error}.
	errorCode string
	// asked are the policies of the token_requires so far, which later challenges name.
	asked []*policy.Policy
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

// callerBehind returns the caller of a request, nil where no token_auth ran. A directive that
// stands right behind the token_auth is handed its writer.
func callerBehind(w http.ResponseWriter, r *http.Request) *caller {
	if private, ok := w.(*privateWriter); ok {
		return private.who
	}
	return callerOf(r)
}

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
	if c.auth.known.anonymous {
		if nobody, _ := vars[nobodyVar].(*caller); nobody != nil && len(nobody.filled) > 0 {
			behind = nobody.filled[len(nobody.filled)-1]
		}
	}
	return earlier, behind
}

// speak writes refusals to this caller.
func (c *caller) speak() challenger {
	if c.auth == nil { // no token_auth ran
		return challengerOf(new(config.TokenAuth), jose.Asymmetric())
	}
	speak := c.auth.challenger
	speak.proved = c.found.DPoP
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
