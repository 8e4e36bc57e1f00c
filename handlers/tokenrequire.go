package handlers

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

// TokenRequire lets a request pass only if the caller's token fulfils every
// rule. It belongs behind token_auth; without one it answers 500.
type TokenRequire struct {
	config.TokenRequire

	app    Services
	policy *policy.Policy
}

// CaddyModule returns the Caddy module information.
func (TokenRequire) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_require",
		New: func() caddy.Module { return new(TokenRequire) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenRequire) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenRequire); err != nil {
		return err
	}
	if h.Shadow {
		h.app.Log().WarnContext(ctx, "token_require is in shadow and refuses nobody", "place", h.Place)
	}
	h.policy, err = provisionRules(ctx, h.app, h.Label(), h.Rules)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenRequire) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerOf(r)
	if who == nil {
		return fault(w, r, h.app, "token_require without a token_auth before it",
			placeOf("token_require", h.Place))
	}
	decision := h.decide(r, who)
	switch {
	case decision.Allowed:
		if who.recorded(r.Context(), h.app.Trail()) {
			h.record(r, who, audit.Granted, policy.Decision{Rule: h.policy.String(), Reason: "every rule holds"}, 0)
		}
	case h.Shadow:
		who.shadowed = true
		h.record(r, who, audit.Shadowed, decision, 0)
		if earlier := who.filledAsGateway(); earlier != nil {
			return earlier.refuseShadowed(w, r, who)
		}
	default:
		return h.refuse(w, r, who, decision)
	}
	return next.ServeHTTP(w, r)
}

// anonymous is the rule that a caller without a token breaks, whatever the rules
// are.
const anonymous policy.Kind = "anonymous"

func (h *TokenRequire) decide(r *http.Request, who *caller) policy.Decision {
	_, step := who.begin(r.Context(), "token_require")
	var decision policy.Decision
	if who.token != nil {
		decision = h.policy.Decide(who.question(r, h.policy))
	} else {
		decision = policy.Decision{Kind: anonymous, Rule: h.policy.String(), Reason: "the request has no good token"}
	}
	if !h.Shadow {
		who.needs(h.policy.Scopes())
		who.stepUp = who.stepUp.And(h.policy.StepUp())
	}
	h.app.Metrics().Decided(h.outcome(decision), string(decision.Kind))
	step.end(nil, attribute.Bool("gatehouse.allowed", decision.Allowed))
	return decision
}

func (h *TokenRequire) outcome(decision policy.Decision) string {
	switch {
	case decision.Allowed:
		return "allowed"
	case h.Shadow:
		return "shadowed"
	default:
		return "denied"
	}
}

// question is what policies ask about a caller whose token is good.
func (c *caller) question(r *http.Request, asking *policy.Policy) policy.Question {
	question := policy.Question{Token: c.token, Request: r, Leeway: c.issuer.Leeway, Shown: c.shown}
	if !asking.Expands() {
		return question
	}
	if repl := replacerOf(r.Context()); repl != nil {
		question.Expand = expander(repl)
	}
	return question
}

// needs notes scopes that the route asks for, so that a later challenge names
// all of them: a client that asks for one scope at a time never gets through.
func (c *caller) needs(scopes []string) {
	if len(c.scopes) == 0 {
		c.scopes = scopes
		return
	}
	c.scopes = slices.Clip(c.scopes)
	for _, scope := range scopes {
		if !slices.Contains(c.scopes, scope) {
			c.scopes = append(c.scopes, scope)
		}
	}
}

func (h *TokenRequire) record(r *http.Request, who *caller, outcome audit.Outcome, decision policy.Decision, status int) {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_require", h.Place
	event.Rule, event.Reason, event.Status = decision.Rule, decision.Reason, status
	h.app.Trail().Record(r.Context(), event)
}

func (h *TokenRequire) refuse(w http.ResponseWriter, r *http.Request, who *caller, decision policy.Decision) error {
	reply := who.refusal(decision)
	if reply.code != "" {
		who.errorCode = reply.code
	}
	h.record(r, who, audit.Denied, decision, reply.status)
	return reply.write(w, r)
}

// refusal says what a caller is told, and what it can do about it. It is asked
// for nothing that would not help.
func (c *caller) refusal(decision policy.Decision) answer {
	speak := c.speak()
	switch {
	case c.token == nil:
		return speak.unauthenticated()
	case decision.Kind == policy.Sender:
		// Where a certificate alone would do, a key leads nowhere.
		speak.dpop = speak.dpop && decision.KeyHelps
		return speak.invalidToken()
	case decision.LoginHelps && decision.ScopeHelps:
		return speak.insufficientAuthentication(c.stepUp, c.scopes)
	case decision.LoginHelps:
		return speak.insufficientAuthentication(c.stepUp, nil)
	case decision.ScopeHelps:
		return speak.insufficientScope(c.scopes)
	default:
		return answer{
			status: http.StatusForbidden, code: "access_denied",
			description: "The access token does not allow this request.",
		}
	}
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenRequire)(nil)
	_ caddy.Provisioner           = (*TokenRequire)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenRequire)(nil)
)
