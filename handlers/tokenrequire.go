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
	rules := make([]policy.Rule, 0, len(h.Rules))
	for _, rule := range h.Rules {
		rules = append(rules, h.rule(rule))
	}
	if h.policy, err = policy.New(rules); err != nil {
		return fmt.Errorf("%s: %w", placeOf("token_require", h.Place), err)
	}
	return nil
}

// rule translates a rule. Issuers by name become their URLs: tokens know URLs
// only.
func (h *TokenRequire) rule(rule config.Rule) policy.Rule {
	values := rule.Values
	if policy.Kind(rule.Rule) == policy.Issuer {
		values = nil
		for _, ref := range rule.Values {
			values = append(values, issuerURLs(h.app.Config(), ref)...)
		}
	}
	return policy.Rule{Kind: policy.Kind(rule.Rule), Path: rule.Path, Values: values}
}

// issuerURLs are the URLs that a name of the global block stands for; a URL
// stands for itself.
func issuerURLs(global *config.Gatehouse, ref string) []string {
	if _, issuer, ok := global.Issuer(ref); ok && !slices.Contains(issuer.URLs, ref) {
		return issuer.URLs
	}
	return []string{ref}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenRequire) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	who := callerOf(r)
	if who == nil {
		return fault(w, r, h.app.Log(), "token_require without a token_auth before it",
			placeOf("token_require", h.Place))
	}
	if who.token == nil {
		return who.refuseNobody(w, r, h.event(r, who, audit.Denied))
	}
	decision := h.decide(r, who)
	if !decision.Allowed {
		return h.refuse(w, r, who, decision)
	}
	if h.app.Trail().Wants(r.Context(), audit.Granted) {
		h.app.Trail().Record(r.Context(), h.event(r, who, audit.Granted))
	}
	return next.ServeHTTP(w, r)
}

func (h *TokenRequire) decide(r *http.Request, who *caller) policy.Decision {
	_, step := begin(r.Context(), "token_require")
	var expand func(string) string
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		expand = expander(repl)
	}
	decision := h.policy.Decide(who.token, expand)
	who.needs(h.policy.Scopes())
	h.app.Metrics().Decided(decision.Allowed)
	step.end(nil, attribute.Bool("gatehouse.allowed", decision.Allowed))
	return decision
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

func (h *TokenRequire) event(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := requestEvent(r, who, outcome)
	event.Directive, event.Place = "token_require", h.Place
	return event
}

func (h *TokenRequire) refuse(w http.ResponseWriter, r *http.Request, who *caller, decision policy.Decision) error {
	reply := answer{
		status: http.StatusForbidden, code: "access_denied",
		description: "The access token does not allow this request.",
	}
	if decision.ScopeHelps {
		reply = who.auth.challenger.insufficientScope(who.scopes)
	}
	who.errorCode = reply.code
	event := h.event(r, who, audit.Denied)
	event.Rule, event.Reason, event.Status = decision.Rule, decision.Reason, reply.status
	h.app.Trail().Record(r.Context(), event)
	return reply.write(w, r)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenRequire)(nil)
	_ caddy.Provisioner           = (*TokenRequire)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenRequire)(nil)
)
