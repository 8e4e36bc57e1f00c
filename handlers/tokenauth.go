package handlers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// TokenAuth validates the caller's access token. It removes the credential from
// the request, refuses the request unless the token is good, and makes what the
// token says known to the handlers behind it:
//
// Placeholder | Description
// ------------|------------
// `{http.auth.user.id}` | The subject; with several trusted issuers `<issuer name>/<subject>` or `<issuer URL>#<subject>`
// `{http.auth.user.subject}` | The `sub` claim alone
// `{http.auth.user.issuer}` | The `iss` claim
// `{http.auth.user.client}` | The OAuth client: `client_id`, else `azp`
// `{http.auth.user.scope}` | The scopes, parted by blanks
// `{http.auth.user.audience}` | The `aud` claim, parted by blanks
// `{http.auth.user.jti}` | The `jti` claim
// `{http.auth.user.exp}` | The expiry in seconds since 1970
// `{http.auth.user.acr}` | The `acr` claim
// `{http.auth.user.actor}` | The subject of the current actor (`act`)
// `{http.auth.user.claim.<path>}` | Any claim
// `{http.auth.user.has.<path>}` | `true` or `false`
// `{http.auth.error}` | The OAuth error code of a refusal
//
// The form with the URL is for an issuer without a block and for one in a block
// with several URLs.
//
// Once this handler ran, every one of them is known: a claim that the token does
// not have is the empty text. None of them ever holds a token.
type TokenAuth struct {
	config.TokenAuth

	app        Services
	verifier   *token.Verifier
	challenger challenger
}

// CaddyModule returns the Caddy module information.
func (TokenAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_auth",
		New: func() caddy.Module { return new(TokenAuth) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenAuth) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenAuth); err != nil {
		return err
	}
	h.challenger = challenger{realm: realm}
	h.verifier, err = h.app.Verifier(&h.TokenAuth)
	return err
}

// retryKeys is when a caller should come again while an issuer's keys are
// missing.
const retryKeys = 5 * time.Second

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// First of all, whatever follows: nothing behind this line sees the token.
	raw, err := token.Take(r.Header)
	if earlier := callerOf(r); earlier != nil {
		return fault(w, r, h.app.Log(), "two token_auth on one request",
			placeOf("token_auth", earlier.auth.Place), placeOf("token_auth", h.Place))
	}
	who := &caller{auth: h, raw: raw}
	caddyhttp.SetVar(r.Context(), callerVar, who)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(who.placeholder)
	}
	if err == nil {
		err = h.validate(r.Context(), who)
	} else {
		h.app.Metrics().Validated(reasonOf(err), 0)
	}
	if err != nil {
		return h.refuse(w, r, who, err)
	}
	if h.app.Trail().Wants(r.Context(), audit.Granted) {
		h.app.Trail().Record(r.Context(), h.event(r, who, audit.Granted))
	}
	private := &privateWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	// Answers without a body, and those of error routes, are for this caller too.
	defer private.mark()
	if who.token != nil && h.Streams != config.StreamsKeep {
		r = private.stream.begin(w, r, who.token.Expiry.Add(who.issuer.Leeway))
		defer private.stream.finish()
	}
	return next.ServeHTTP(private, r)
}

func (h *TokenAuth) validate(ctx context.Context, who *caller) (err error) {
	began := time.Now()
	ctx, step := begin(ctx, "token_auth")
	who.token, who.issuer, err = h.verifier.Verify(ctx, who.raw)
	outcome := reasonOf(err)
	h.app.Metrics().Validated(outcome, time.Since(began))
	step.end(err, attribute.String("gatehouse.outcome", outcome))
	return err
}

// reasonOf is the bounded name of what came of a validation.
func reasonOf(err error) string {
	if err == nil {
		return "ok"
	}
	if reason, ok := errors.AsType[token.Reason](err); ok {
		return string(reason)
	}
	return "canceled"
}

func (h *TokenAuth) event(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_auth", h.Place
	return event
}

// refuse answers a request whose token was not accepted.
func (h *TokenAuth) refuse(w http.ResponseWriter, r *http.Request, who *caller, err error) error {
	reply := h.refusal(err)
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = reasonOf(err), err.Error(), reply.status
	h.app.Trail().Record(r.Context(), event)
	markPrivate(w.Header())
	return reply.write(w, r)
}

// statusClientGone is what Caddy answers when nobody waits any more.
const statusClientGone = 499

func clientGone() answer {
	return answer{status: statusClientGone, description: "The client closed the request."}
}

// refusal says what a caller is told, and no more: which check failed is for the
// audit trail.
func (h *TokenAuth) refusal(err error) answer {
	var reason token.Reason
	if !errors.As(err, &reason) {
		return clientGone()
	}
	switch reason.Class() {
	case token.ClassMissing:
		return h.challenger.unauthenticated()
	case token.ClassMalformed:
		return h.challenger.refusal(http.StatusBadRequest, "invalid_request", "The request's credentials are malformed.")
	case token.ClassUnavailable:
		return answer{
			status: http.StatusServiceUnavailable, retryAfter: retryKeys,
			description: "The token cannot be checked at present.",
		}
	default:
		return h.challenger.refusal(http.StatusUnauthorized, "invalid_token", "The access token is not valid for this API.")
	}
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenAuth)(nil)
	_ caddy.Provisioner           = (*TokenAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenAuth)(nil)
)
