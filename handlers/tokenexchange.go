package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// TokenExchange gives the upstream another token than the caller's: one made for
// that upstream alone (RFC 8693). It belongs behind token_auth; without one it
// answers 500. Whatever fails, the request goes no further: the caller's own
// token never reaches an upstream.
type TokenExchange struct {
	config.TokenExchange

	app       Services
	trail     *audit.Trail
	exchanger *exchange.Exchanger
	block     *config.Exchange
	label     string // for metrics: a name of the configuration, or inline
	header    string
	headers   []string         // the same, for those who take several
	own       []string         // where else callers present themselves
	aliased   bool             // the header has other spellings
	alone     []*TokenExchange // this one
	counted   *metrics.Exchanges
	warned    *atomic.Bool // that tokens are long: once is enough
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
	h.warned = new(atomic.Bool)
	h.block = h.Resolve(h.app.Config())
	if h.block.Anonymous {
		h.app.Known().anonymous = true
	}
	header, _ := h.block.Target()
	h.aim(header)
	if h.label = h.Name; h.label == "" {
		h.label = "inline"
	}
	h.trail, h.counted = h.app.Trail(), h.app.Metrics().Exchanges(h.label)
	h.exchanger, err = h.app.Exchanger(&h.TokenExchange)
	return err
}

// aim notes for which header tokens are, and what follows from it.
func (h *TokenExchange) aim(header string) {
	h.header = http.CanonicalHeaderKey(header)
	h.headers, h.alone = []string{h.header}, []*TokenExchange{h}
	h.own, h.aliased = slices.DeleteFunc(slices.Clone(callersHeaders), h.fills), token.HasAliases(h.header)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenExchange) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerBehind(w, r)
	if who == nil {
		if !h.block.Anonymous {
			return fault(w, r, h.app, "token_exchange without a token_auth before it",
				placeOf("token_exchange", h.Place))
		}
		who = h.nobodyOf(r)
	}
	if len(who.filled) > 0 || who.token == nil || who.shadowed || isTrace(r) {
		if answered, err := h.unusual(w, r, who); answered {
			return err
		}
	}
	issued, waited, err := h.exchange(r.Context(), who)
	if err != nil {
		return h.refuse(w, r, who, err, waited)
	}
	if h.trail.Grants() {
		event := h.event(r, who, audit.Granted)
		event.Rule, event.Duration = string(exchange.OutcomeOf(issued, nil)), waited
		event.Granted, event.IssuedID = issued.Scope, issued.ID
		h.trail.Record(r.Context(), event)
	}
	if who.auth != nil && who.auth.ForwardToken {
		r = who.withhold(r)
	}
	who.fill(h)
	// Only what is behind gets that header: an error route begins without it.
	defer func() { who.filled = who.filled[:len(who.filled)-1] }()
	return h.forward(w, r, who, issued, next)
}

// isTrace tells of TRACE. Some upstreams read methods in any case.
func isTrace(r *http.Request) bool {
	return len(r.Method) == len(http.MethodTrace) && strings.EqualFold(r.Method, http.MethodTrace)
}

// unusual answers requests that get no token, whatever an exchange would say.
func (h *TokenExchange) unusual(w http.ResponseWriter, r *http.Request, who *caller) (answered bool, err error) {
	if earlier := who.filledBy(h.header); earlier != nil {
		return true, fault(w, r, h.app, "two token_exchange for header "+h.header,
			placeOf("token_exchange", earlier.Place), placeOf("token_exchange", h.Place))
	}
	switch {
	case who.token == nil && !h.block.Anonymous:
		return true, who.refuseNobody(w, r, h.event(r, who, audit.Denied))
	case who.shadowed && h.exchanger.AsGateway():
		return true, h.refuseShadowed(w, r, who)
	case isTrace(r):
		return true, h.refuseTrace(w, r, who)
	}
	return false, nil
}

// nobodyVar is the request variable of a caller whom no token_auth looked at.
const nobodyVar = "gatehouse.nobody"

// nobodyOf returns the caller of a route without a token_auth, whoever it is. What
// it presents is taken off the request: neither what is behind nor an error route, which
// may have an upstream of its own, is to get it.
func (h *TokenExchange) nobodyOf(r *http.Request) *caller {
	if known, ok := caddyhttp.GetVar(r.Context(), nobodyVar).(*caller); ok {
		return known
	}
	who := new(caller)
	caddyhttp.SetVar(r.Context(), nobodyVar, who)
	h.app.Known().leave(r)
	return who
}

// refuseShadowed answers a request that a rule under shadow would have denied: with
// the gateway's own access nobody behind it decides once more.
func (h *TokenExchange) refuseShadowed(w http.ResponseWriter, r *http.Request, who *caller) error {
	reply := answer{
		status: http.StatusForbidden, code: "access_denied",
		description: "A rule of this route does not permit this request.",
	}
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = "shadow", "a rule under shadow would have denied it", reply.status
	h.trail.Record(r.Context(), event)
	return reply.write(w, r)
}

// fills tells whether the header of this exchange is that one.
func (h *TokenExchange) fills(header string) bool { return h.header == header }

// fill notes that a token_exchange has filled its header.
func (c *caller) fill(h *TokenExchange) {
	if c.filled == nil {
		c.filled = h.alone
		return
	}
	c.filled = append(slices.Clip(c.filled), h)
}

// filledBy returns the token_exchange that has filled a header, under whatever
// spelling an upstream may take for it, nil if none has.
func (c *caller) filledBy(header string) *TokenExchange {
	for _, earlier := range c.filled {
		if token.SameHeader(earlier.header, header) {
			return earlier
		}
	}
	return nil
}

// filledAsGateway returns a token_exchange that has put the gateway's own token on
// the request, nil if none has.
func (c *caller) filledAsGateway() *TokenExchange {
	for _, earlier := range c.filled {
		if earlier.exchanger.AsGateway() {
			return earlier
		}
	}
	return nil
}

// exchange returns a token for the caller, and how long it took.
func (h *TokenExchange) exchange(ctx context.Context, who *caller) (*exchange.Issued, time.Duration, error) {
	if who.token != nil && who.untraced == ctx { // nearly every request
		watch := startWatch()
		if issued := h.exchanger.Remembered(&who.found.Raw, who.token); issued != nil {
			waited := watch.took()
			h.counted.Hit(waited)
			return issued, waited, nil
		}
	}
	return h.observed(ctx, who, func(ctx context.Context) (*exchange.Issued, error) {
		return h.exchanger.Exchange(ctx, who.exchanged())
	})
}

// exchanged is the caller as an exchanger wants it.
func (c *caller) exchanged() exchange.Caller {
	if c.token == nil {
		return exchange.Caller{}
	}
	return exchange.Caller{Raw: c.found.Raw, Token: c.token}
}

// observed counts an exchange, makes it a step of the trace and says how long it
// took.
func (h *TokenExchange) observed(
	ctx context.Context, who *caller, run func(context.Context) (*exchange.Issued, error),
) (*exchange.Issued, time.Duration, error) {
	watch := startWatch()
	ctx, step := who.begin(ctx, "token_exchange")
	issued, err := run(ctx)
	outcome := string(exchange.OutcomeOf(issued, err))
	waited := watch.took()
	h.counted.Count(outcome, waited)
	if err == nil && issued.Degraded != nil {
		h.app.Log().WarnContext(ctx, "serving an older token, since no new one could be had",
			"exchange", h.label, "error", issued.Degraded.Error())
	}
	if err == nil && !issued.Cached && issued.Long() && h.warned.CompareAndSwap(false, true) {
		h.app.Log().WarnContext(ctx, "an upstream token is longer than many servers allow",
			"exchange", h.label, "place", h.Place)
	}
	if step.traced() {
		step.end(err, attribute.String("gatehouse.exchange", h.label), attribute.String("gatehouse.outcome", outcome))
	}
	return issued, waited, err
}

func (h *TokenExchange) event(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_exchange", h.Place
	event.Exchange = h.label
	event.Server, event.ServerClient = h.exchanger.Server(0)
	event.ActDepth = h.exchanger.ActDepth(who.token)
	if who.token != nil {
		event.Scope = h.exchanger.Asked(who.token)
	}
	if len(event.Scope) == 0 {
		event.Scope = h.block.Scope // what the caller would have needed
	}
	event.Audience = h.exchanger.Audience()
	return event
}

// refuseTrace refuses TRACE: its answer is the request as the upstream got it, so
// the caller would be shown the upstream's token (RFC 9110, section 9.3.8).
func (h *TokenExchange) refuseTrace(w http.ResponseWriter, r *http.Request, who *caller) error {
	reply := answer{status: http.StatusMethodNotAllowed, description: "TRACE is not allowed here."}
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = "trace", "TRACE would show the upstream's token to the caller", reply.status
	h.trail.Record(r.Context(), event)
	w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	return reply.write(w, r)
}

func (h *TokenExchange) refuse(w http.ResponseWriter, r *http.Request, who *caller, err error, waited time.Duration) error {
	reply := exchangeRefusal(who.speak(), err)
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = string(exchange.OutcomeOf(nil, err)), err.Error(), reply.status
	event.Duration = waited
	if failed, ok := errors.AsType[*exchange.Error](err); ok {
		event.ServerError, event.ServerStatus, event.Leg = failed.ASCode, failed.ASStatus, failed.Leg
		event.Server, event.ServerClient = h.exchanger.Server(failed.Leg)
		h.report(r.Context(), failed)
	}
	h.trail.Record(r.Context(), event)
	return reply.write(w, r)
}

// report tells the operator about a failure that no caller can mend.
func (h *TokenExchange) report(ctx context.Context, failed *exchange.Error) {
	log := h.app.Log().With("exchange", h.label, "place", h.Place)
	if failed.ASStatus != 0 { // a server that said nothing, or nothing wrong, has neither
		log = log.With("server_status", failed.ASStatus, "server_error", failed.ASCode)
	}
	log = log.With("error", failed.Error())
	switch failed.Outcome { //nolint:exhaustive // the others are callers' affairs, or pass by themselves
	case exchange.OutcomeConfig:
		log.ErrorContext(ctx, "exchange is misconfigured")
	case exchange.OutcomeBadAnswer:
		log.ErrorContext(ctx, "authorization server gave an unusable answer")
	case exchange.OutcomeUpstreamRefused:
		log.WarnContext(ctx, "upstream refused the gateway's token")
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
		reply.challenge = speak.challenge("error", failed.Code, "error_description", failed.Public,
			"acr_values", failed.ACRValues, "max_age", failed.MaxAge)
	}
	if failed.Code == "invalid_token" {
		reply.beside = speak.beside() // a new token is needed, under either scheme
	}
	return reply
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenExchange)(nil)
	_ caddy.Provisioner           = (*TokenExchange)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenExchange)(nil)
)
