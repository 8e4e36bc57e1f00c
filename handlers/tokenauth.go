package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// TokenAuth validates the caller's access token. It removes the credential from
// the request, refuses the request unless the token is good (or there is none, and
// `optional` lets it pass), and makes what the token says known to the handlers
// behind it:
//
// Placeholder | Description
// ------------|------------
// `{http.auth.user.id}` | The subject; with several trusted issuers `<issuer name>/<subject>` or `<issuer URL>#<subject>`; what `user_id` says
// `{http.auth.user.subject}` | The subject alone: `sub`, or where the issuer's `claims` say
// `{http.auth.user.issuer}` | The `iss` claim
// `{http.auth.user.client}` | The OAuth client: `client_id`, else `azp`, or where `claims` say
// `{http.auth.user.scope}` | The scopes, parted by blanks: `scope`, else `scp`, or where `claims` say
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
	verifier   Verifier
	sender     *proof.Sender
	challenger challenger
	places     places
	privacy    *privacy
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
	if h.sender, err = h.app.Sender(&h.TokenAuth); err != nil {
		return err
	}
	h.challenger, h.privacy = challengerOf(&h.TokenAuth, h.sender.DPoP().Algorithms()), privacyOf(&h.TokenAuth)
	h.places = placesOf(sourcesOf(&h.TokenAuth))
	if h.ClientCertificate != "" {
		h.places.headers = append(h.places.headers, h.ClientCertificate, chainHeader)
	}
	h.app.Known().addAuth(h)
	h.warn(ctx)
	h.verifier, err = h.app.Verifier(&h.TokenAuth)
	return err
}

// warn tells the operator which of the words loosen something.
func (h *TokenAuth) warn(ctx context.Context) {
	for _, from := range h.From {
		if from.Logged() {
			h.app.Log().WarnContext(ctx, "tokens lie where access logs show them",
				"place", h.Place, "source", from.Source, "name", from.Name)
		}
	}
	if h.ForwardToken {
		h.app.Log().WarnContext(ctx, "the caller's own token goes to the upstream", "place", h.Place)
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// First of all, whatever follows: nothing behind this line sees the token.
	shown := h.presented(r)
	kept := h.keep(r)
	found, err := h.places.take(r)
	who := &caller{auth: h, raw: found.Raw, proved: found.DPoP}
	earlier, behind := who.announce(r)
	switch {
	case earlier != nil:
		return fault(w, r, h.app, "two token_auth on one request",
			placeOf("token_auth", earlier.auth.Place), placeOf("token_auth", h.Place))
	case behind != nil:
		return fault(w, r, h.app, "token_auth behind a token_exchange, whose token it would take for the caller's",
			placeOf("token_exchange", behind.Place), placeOf("token_auth", h.Place))
	}
	repl := replacerOf(r.Context())
	if repl != nil {
		repl.Map(who.placeholder)
	}
	if err = h.judge(w, r, who, found, shown, err); err != nil {
		return h.refuse(w, r, who, err)
	}
	who.standAlone(repl)
	if who.recorded(r.Context(), h.app.Trail()) {
		h.app.Trail().Record(r.Context(), h.event(r, who, audit.Granted))
	}
	private := &who.private
	private.ResponseWriter, private.mine = w, h.privacy
	private.nonce = len(w.Header()[nonceHeader]) > 0
	// Answers without a body, and those of error routes, are for this caller too.
	defer private.mark()
	r = h.forward(r, kept, found.Kind)
	if who.token != nil && h.Streams != config.StreamsKeep {
		r = private.stream.begin(w, r, h.app, who.token, who.token.Expiry.Add(who.issuer.Leeway))
		defer private.stream.finish()
	}
	return next.ServeHTTP(private, r)
}

// judge decides on what was taken from the request: err is what came of taking
// it. With optional a request that presented nothing is nobody's and passes.
func (h *TokenAuth) judge(
	w http.ResponseWriter, r *http.Request, who *caller, found token.Credential, shown proof.Presentation, err error,
) error {
	// The request itself comes first: which answer it gets must not tell whether a
	// replayed or a forged request carried a good token.
	if refused := admits(r, found); refused != nil && !errors.Is(err, token.Malformed) {
		err = refused
	}
	switch {
	case err == nil:
		return h.validate(w, r, who, shown)
	case h.Optional && !found.Presented && errors.Is(err, token.Missing):
		h.app.Metrics().Validated("anonymous", 0)
		return nil
	default:
		h.app.Metrics().Validated(reasonOf(err), 0)
		return err
	}
}

// validate checks the token, and that it is the caller's own.
func (h *TokenAuth) validate(w http.ResponseWriter, r *http.Request, who *caller, shown proof.Presentation) (err error) {
	watch := startWatch()
	ctx, step := who.begin(r.Context(), "token_auth")
	held, issuer, err := h.verifier.Verify(ctx, who.raw)
	if err == nil {
		who.token, who.issuer = held, issuer
		if err = h.prove(ctx, w, r, who, shown); err != nil {
			who.token, who.issuer = nil, nil
		}
	}
	outcome := reasonOf(err)
	h.app.Metrics().Validated(outcome, watch.took())
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
	if reason, ok := errors.AsType[proof.Reason](err); ok {
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
	reply := h.refusal(who, err)
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = reasonOf(err), err.Error(), reply.status
	h.app.Trail().Record(r.Context(), event)
	h.privacy.mark(w.Header(), new([2]string))
	return reply.write(w, r)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenAuth)(nil)
	_ caddy.Provisioner           = (*TokenAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenAuth)(nil)
)
