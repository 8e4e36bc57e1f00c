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
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
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
	watcher    Watcher
	trail      *audit.Trail
	metrics    *metrics.Metrics
	known      *Known
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
	app, err := prepare(ctx, &h.TokenAuth)
	if err != nil {
		return err
	}
	h.join(app)
	if h.sender, err = h.app.Sender(&h.TokenAuth); err != nil {
		return err
	}
	h.challenger, h.privacy = challengerOf(&h.TokenAuth, h.sender.DPoP().Algorithms()), privacyOf(&h.TokenAuth)
	h.places = placesOf(sourcesOf(&h.TokenAuth))
	if h.ClientCertificate != "" {
		h.places.headers = append(h.places.headers, h.ClientCertificate, chainHeader)
	}
	h.known.addAuth(h)
	h.warn(ctx)
	h.verifier, err = h.app.Verifier(&h.TokenAuth)
	return err
}

// join notes the app, and what each request needs of it.
func (h *TokenAuth) join(app Services) {
	h.app, h.watcher, h.trail, h.metrics, h.known = app, app, app.Trail(), app.Metrics(), app.Known()
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
	shown := h.present(r)
	var before *kept
	if h.ForwardToken {
		before = keep(r)
	}
	who := &caller{auth: h}
	err := h.places.take(r, &who.found)
	if earlier, behind := who.announce(r); earlier != nil || behind != nil {
		return h.misplaced(w, r, earlier, behind)
	}
	repl := replacerOf(r.Context())
	if repl != nil {
		repl.Map(who.placeholder)
	}
	if refused := admits(r, &who.found); err == nil && refused == nil {
		err = h.validate(w, r, who, shown)
	} else {
		err = h.without(&who.found, err, refused)
	}
	if err != nil {
		return h.refuse(w, r, who, err)
	}
	who.standAlone(repl)
	if h.trail.Grants() {
		h.trail.Record(r.Context(), h.event(r, who, audit.Granted))
	}
	private := &who.private
	private.ResponseWriter, private.who = w, who
	// Answers without a body, and those of error routes, are for this caller too.
	defer private.finish()
	if before != nil {
		r = before.forward(r, who.found.Kind)
	}
	if endless(r) {
		r = private.prepare(r)
	}
	err = next.ServeHTTP(private, r)
	private.abort(r)
	return err
}

// misplaced answers where the order of the directives gives a request two callers, or
// the gateway's own token for one.
func (h *TokenAuth) misplaced(w http.ResponseWriter, r *http.Request, earlier *caller, behind *TokenExchange) error {
	if earlier != nil {
		return fault(w, r, h.app, "two token_auth on one request",
			placeOf("token_auth", earlier.auth.Place), placeOf("token_auth", h.Place))
	}
	return fault(w, r, h.app, "token_auth behind a token_exchange, whose token it would take for the caller's",
		placeOf("token_exchange", behind.Place), placeOf("token_auth", h.Place))
}

// without decides on a request without a token to look at: err is what came of taking
// it, and refused what is wrong with the request; one of them is not nil. With optional
// a request that presented nothing is nobody's and passes.
func (h *TokenAuth) without(found *token.Credential, err, refused error) error {
	// The request itself comes first: which answer it gets must not tell whether a
	// replayed or a forged request carried a good token.
	if refused != nil && !errors.Is(err, token.Malformed) {
		err = refused
	}
	if h.Optional && !found.Presented && errors.Is(err, token.Missing) {
		h.metrics.Validated("anonymous", 0)
		return nil
	}
	h.metrics.Validated(reasonOf(err), 0)
	return err
}

// validate checks the token, and that it is the caller's own.
func (h *TokenAuth) validate(w http.ResponseWriter, r *http.Request, who *caller, shown *proof.Presentation) (err error) {
	watch := startWatch()
	ctx, step := who.begin(r.Context(), "token_auth")
	who.token, who.issuer, err = h.verifier.Verify(ctx, who.found.Raw)
	if err == nil && (who.found.DPoP || !h.sender.Indifferent(&who.token.Confirmation)) {
		err = h.prove(ctx, w, r, who, shown)
	}
	if err != nil {
		who.token, who.issuer = nil, nil
	}
	outcome := reasonOf(err)
	h.metrics.Validated(outcome, watch.took())
	if step.traced() {
		step.end(err, attribute.String("gatehouse.outcome", outcome))
	}
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
	h.trail.Record(r.Context(), event)
	h.privacy.mark(w.Header(), new([2]string))
	return reply.write(w, r)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenAuth)(nil)
	_ caddy.Provisioner           = (*TokenAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenAuth)(nil)
)
