package handlers

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/proof"
)

// TokenRequire lets a request pass only if the caller's token fulfils every
// rule. It belongs behind token_auth; without one it answers 500.
type TokenRequire struct {
	config.TokenRequire

	app     Services
	trail   *audit.Trail
	metrics *metrics.Metrics
	policy  *policy.Policy
	alone   []*policy.Policy // that one
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
	h.trail, h.metrics = h.app.Trail(), h.app.Metrics()
	if h.Shadow {
		h.app.Log().WarnContext(ctx, "token_require is in shadow and refuses nobody", "place", h.Place)
	}
	rules, err := provisionRules(ctx, h.app, h.Label(), h.Rules)
	if err != nil {
		return err
	}
	h.obey(rules)
	return nil
}

// obey makes a policy this directive's own.
func (h *TokenRequire) obey(rules *policy.Policy) {
	rules.Remember()
	h.policy, h.alone = rules, []*policy.Policy{rules}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenRequire) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerBehind(w, r)
	if who == nil {
		return fault(w, r, h.app, "token_require without a token_auth before it",
			placeOf("token_require", h.Place))
	}
	denied := h.decide(r, who)
	if !h.Shadow {
		who.ask(h.alone)
	}
	if denied != nil {
		return h.deny(w, r, who, denied, next)
	}
	h.metrics.Allowed()
	if h.trail.Grants() {
		h.record(r, who, audit.Granted, &policy.Denial{Rule: h.policy.String(), Reason: "every rule holds"}, 0)
	}
	return next.ServeHTTP(w, r)
}

// deny answers a request that a rule denies, and lets it pass under shadow.
func (h *TokenRequire) deny(
	w http.ResponseWriter, r *http.Request, who *caller, denied *policy.Denial, next caddyhttp.Handler,
) error {
	if !h.Shadow {
		h.metrics.Decided("denied", string(denied.Kind))
		return h.refuse(w, r, who, denied)
	}
	h.metrics.Decided("shadowed", string(denied.Kind))
	who.shadowed = true
	h.record(r, who, audit.Shadowed, denied, 0)
	if earlier := who.filledAsGateway(); earlier != nil {
		return earlier.refuseShadowed(w, r, who)
	}
	return next.ServeHTTP(w, r)
}

// anonymous is the rule that a caller without a token breaks, whatever the rules
// are.
const anonymous policy.Kind = "anonymous"

// decide returns why the caller may not pass, nil if it may.
func (h *TokenRequire) decide(r *http.Request, who *caller) (denied *policy.Denial) {
	if ctx := r.Context(); who.untraced != ctx {
		_, step := who.begin(ctx, "token_require")
		defer func() { step.end(nil, attribute.Bool("gatehouse.allowed", denied == nil)) }()
	}
	if who.token == nil {
		return &policy.Denial{Kind: anonymous, Rule: h.policy.String(), Reason: "the request has no good token"}
	}
	if h.policy.Fulfilled(who.token) {
		return nil
	}
	question := who.question(r, h.policy)
	return h.policy.Denies(&question)
}

// question is what policies ask about a caller whose token is good.
func (c *caller) question(r *http.Request, asking *policy.Policy) policy.Question {
	question := policy.Question{Token: c.token, Request: r, Leeway: c.issuer.Leeway, Shown: ways(c.shown)}
	if !asking.Expands() {
		return question
	}
	if repl := replacerOf(r.Context()); repl != nil {
		question.Expand = expander(repl)
	}
	return question
}

// ways are the names of ways to show that a token is one's own.
func ways(shown proof.Kinds) (names []string) {
	if shown.DPoP {
		names = append(names, config.BoundDPoP)
	}
	if shown.MTLS {
		names = append(names, config.BoundMTLS)
	}
	return names
}

// ask notes the policy of one more token_require: a client that asks for one scope at a
// time never gets through.
func (c *caller) ask(alone []*policy.Policy) {
	if c.asked == nil {
		c.asked = alone
		return
	}
	c.asked = append(slices.Clip(c.asked), alone...)
}

// needed is what the route asked for so far: the scopes, and the login.
func (c *caller) needed() (scopes []string, login policy.StepUp) {
	for _, asked := range c.asked {
		for _, scope := range asked.Scopes() {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
		login = login.And(asked.StepUp())
	}
	return scopes, login
}

func (h *TokenRequire) record(r *http.Request, who *caller, outcome audit.Outcome, denied *policy.Denial, status int) {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_require", h.Place
	event.Rule, event.Reason, event.Status = denied.Rule, denied.Reason, status
	h.trail.Record(r.Context(), event)
}

func (h *TokenRequire) refuse(w http.ResponseWriter, r *http.Request, who *caller, denied *policy.Denial) error {
	reply := who.refusal(denied)
	if reply.code != "" {
		who.errorCode = reply.code
	}
	h.record(r, who, audit.Denied, denied, reply.status)
	return reply.write(w, r)
}

// refusal says what a caller is told, and what it can do about it. It is asked
// for nothing that would not help.
func (c *caller) refusal(denied *policy.Denial) answer {
	speak := c.speak()
	scopes, login := c.needed()
	switch {
	case c.token == nil:
		return speak.unauthenticated()
	case denied.Kind == policy.Sender:
		// Where a certificate alone would do, a key leads nowhere.
		speak.dpop = speak.dpop && denied.KeyHelps
		return speak.invalidToken()
	case denied.LoginHelps && denied.ScopeHelps:
		return speak.insufficientAuthentication(login, scopes)
	case denied.LoginHelps:
		return speak.insufficientAuthentication(login, nil)
	case denied.ScopeHelps:
		return speak.insufficientScope(scopes)
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
