package handlers

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// TokenLimit lets so many requests pass in a time, for each caller, client or
// whatever its key is made of. What is too much is answered with 429.
type TokenLimit struct {
	config.TokenLimit

	app   Services
	key   limitKey
	cases []limitCase // of the when lines, in their order
	rest  limitCase   // for everybody else
}

// A limitCase is a limit and whom it is for.
type limitCase struct {
	path, value string // of a claim; empty for everybody
	text        string // for the audit trail
	policy      string // what the RateLimit-Policy field says of it, behind its name
	limit       *limit.Limit
}

// CaddyModule returns the Caddy module information.
func (TokenLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_limit",
		New: func() caddy.Module { return new(TokenLimit) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenLimit) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenLimit); err != nil {
		return err
	}
	h.key = placeholdersOf([]string{h.Key})
	if err := noShorthands(h.key, exampleUser); err != nil {
		return fmt.Errorf("%s: key: %w", h.Label(), err)
	}
	h.rest = h.provisionCase(config.LimitCase{Events: h.Events, Window: h.Window})
	for _, when := range h.When {
		h.cases = append(h.cases, h.provisionCase(when))
	}
	return nil
}

func (h *TokenLimit) provisionCase(c config.LimitCase) limitCase {
	rate := store.Rate{Events: c.Events.Or(0), Window: c.Window.Or(0)}
	made := limitCase{
		path: c.Path, value: c.Value, policy: policyField(rate),
		text:  fmt.Sprintf("%d in %s", rate.Events, rate.Window),
		limit: h.app.Limit(limit.Rule{Key: h.Key, Path: c.Path, Value: c.Value, Rate: rate}),
	}
	if c.Path != "" {
		made.text = fmt.Sprintf("when %s %s: %s", c.Path, c.Value, made.text)
	}
	return made
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenLimit) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerOf(r)
	if who == nil { // no token_auth ran: a limit by address needs none
		who = new(caller)
	}
	ctx, step := who.begin(r.Context(), "token_limit")
	counts := h.caseOf(who)
	taken := counts.limit.Take(ctx, h.key.of(r))
	step.end(nil, attribute.Bool("gatehouse.allowed", taken.Allowed))
	h.app.Metrics().Limited(taken.Allowed)
	announceLimit(w.Header(), counts.policy, taken)
	if taken.Allowed {
		return next.ServeHTTP(w, r)
	}
	return h.refuse(w, r, who, counts, taken)
}

// caseOf is the limit that counts for a caller: of those that its token fits the
// first.
func (h *TokenLimit) caseOf(who *caller) *limitCase {
	if who.token != nil {
		for i := range h.cases {
			if slices.Contains(who.token.Claims.Texts(h.cases[i].path), h.cases[i].value) {
				return &h.cases[i]
			}
		}
	}
	return &h.rest
}

func (h *TokenLimit) refuse(w http.ResponseWriter, r *http.Request, who *caller, counts *limitCase, taken store.Taken) error {
	reply := answer{
		status: http.StatusTooManyRequests, retryAfter: taken.RetryAfter,
		description: "Too many requests: come again later.",
	}
	if who.auth == nil {
		h.app.Known().leave(r)
	}
	event := requestEvent(r, who, audit.Denied)
	event.Directive, event.Place = "token_limit", h.Place
	event.Rule, event.Reason, event.Status = counts.text, "rate_limited", reply.status
	h.app.Trail().Record(r.Context(), event)
	return reply.write(w, r)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenLimit)(nil)
	_ caddy.Provisioner           = (*TokenLimit)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenLimit)(nil)
)
