package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
)

// TokenExchange gives the upstream another token than the caller's: one made for
// that upstream alone (RFC 8693). It belongs behind token_auth; without one it
// answers 500. Whatever fails, the request goes no further: the caller's own
// token never reaches an upstream.
type TokenExchange struct {
	config.TokenExchange

	app       Services
	exchanger *exchange.Exchanger
	block     *config.Exchange
	label     string // for metrics: a name of the configuration, or inline
	header    string
}

// CaddyModule returns the Caddy module information.
func (TokenExchange) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_exchange",
		New: func() caddy.Module { return new(TokenExchange) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenExchange) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenExchange); err != nil {
		return err
	}
	h.block = h.Resolve(h.app.Config())
	h.header, _ = h.block.Inject.Target()
	h.header = http.CanonicalHeaderKey(h.header)
	if h.label = h.Name; h.label == "" {
		h.label = "inline"
	}
	h.exchanger, err = h.app.Exchanger(&h.TokenExchange)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenExchange) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerOf(r)
	if who == nil {
		return fault(w, r, h.app.Log(), "token_exchange without a token_auth before it",
			placeOf("token_exchange", h.Place))
	}
	if earlier := who.filledBy(h.header); earlier != nil {
		return fault(w, r, h.app.Log(), "two token_exchange for header "+h.header,
			placeOf("token_exchange", earlier.Place), placeOf("token_exchange", h.Place))
	}
	if who.token == nil {
		return who.refuseNobody(w, r, h.event(r, who, audit.Denied))
	}
	issued, err := h.exchange(r.Context(), who)
	if err != nil {
		return h.refuse(w, r, who, err)
	}
	if h.app.Trail().Wants(r.Context(), audit.Granted) {
		h.app.Trail().Record(r.Context(), h.event(r, who, audit.Granted))
	}
	r = who.withhold(r)
	who.filled = append(who.filled, h)
	return next.ServeHTTP(w, withToken(r, h.header, issued.Credential))
}

// filledBy returns the token_exchange that has filled a header, nil if none has.
func (c *caller) filledBy(header string) *TokenExchange {
	for _, earlier := range c.filled {
		if earlier.header == header {
			return earlier
		}
	}
	return nil
}

func (h *TokenExchange) exchange(ctx context.Context, who *caller) (*exchange.Issued, error) {
	began := time.Now()
	ctx, step := begin(ctx, "token_exchange")
	issued, err := h.exchanger.Exchange(ctx, exchange.Caller{Raw: who.raw, Token: who.token})
	outcome := string(exchange.OutcomeOf(issued, err))
	h.app.Metrics().Exchanged(h.label, outcome, time.Since(began))
	if err == nil && issued.Degraded != nil {
		h.app.Log().WarnContext(ctx, "serving an older token, since no new one could be had",
			"exchange", h.label, "error", issued.Degraded.Error())
	}
	step.end(err, attribute.String("gatehouse.exchange", h.label), attribute.String("gatehouse.outcome", outcome))
	return issued, err
}

func (h *TokenExchange) event(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_exchange", h.Place
	event.Exchange = h.label
	if who.token != nil {
		event.Scope = h.exchanger.Asked(who.token)
	}
	if len(event.Scope) == 0 {
		event.Scope = h.block.Scope // what the caller would have needed
	}
	event.Audience = slices.Concat(h.block.Audience, h.block.Resource)
	return event
}

func (h *TokenExchange) refuse(w http.ResponseWriter, r *http.Request, who *caller, err error) error {
	reply := exchangeRefusal(who.speak(), err)
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = string(exchange.OutcomeOf(nil, err)), err.Error(), reply.status
	if failed, ok := errors.AsType[*exchange.Error](err); ok {
		event.ServerError = failed.ASCode
		h.report(r.Context(), failed)
	}
	h.app.Trail().Record(r.Context(), event)
	return reply.write(w, r)
}

// report tells the operator about a failure that no caller can mend.
func (h *TokenExchange) report(ctx context.Context, failed *exchange.Error) {
	log := h.app.Log().With("exchange", h.label, "place", h.Place,
		"server_status", failed.ASStatus, "server_error", failed.ASCode, "error", failed.Error())
	switch failed.Outcome { //nolint:exhaustive // the others are callers' affairs, or pass by themselves
	case exchange.OutcomeConfig:
		log.ErrorContext(ctx, "exchange is misconfigured")
	case exchange.OutcomeBadAnswer:
		log.ErrorContext(ctx, "authorization server gave an unusable answer")
	case exchange.OutcomeFault:
		log.ErrorContext(ctx, "exchange failed by a fault of the gateway")
	}
}

// exchangeRefusal says what a caller is told about a failed exchange. The
// authorization server's own words never reach it.
func exchangeRefusal(speak challenger, err error) answer {
	var failed *exchange.Error
	switch {
	case errors.As(err, &failed):
	case errors.Is(err, context.DeadlineExceeded):
		return answer{status: http.StatusGatewayTimeout, description: "The request took too long."}
	default:
		return clientGone()
	}
	if failed.Code == "insufficient_scope" && len(failed.Scope) > 0 {
		return speak.insufficientScope(failed.Scope)
	}
	reply := answer{
		status: failed.Status, code: failed.Code, description: failed.Public, retryAfter: failed.RetryAfter,
	}
	if failed.Status == http.StatusUnauthorized || failed.Code == "insufficient_scope" {
		reply.challenge = speak.challenge("error", failed.Code, "error_description", failed.Public)
	}
	return reply
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenExchange)(nil)
	_ caddy.Provisioner           = (*TokenExchange)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenExchange)(nil)
)
