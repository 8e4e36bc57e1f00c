package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// ErrEmpty says that a rule or a policy asks for nothing, which everyone would
// fulfil.
var ErrEmpty = errors.New("it asks for nothing, so everyone would pass")

// A Policy is a list of rules that must all hold. It is immutable.
type Policy struct {
	rules  []Rule
	scopes []string
}

// New makes a policy. It fails if the policy, or a rule of it, is empty.
func New(rules []Rule) (*Policy, error) {
	if len(rules) == 0 {
		return nil, ErrEmpty
	}
	policy := &Policy{rules: slices.Clone(rules)}
	for _, rule := range policy.rules {
		if len(rule.Values) == 0 || slices.Contains(rule.Values, "") || (rule.Kind == Claim) != (rule.Path != "") {
			return nil, fmt.Errorf("rule %s: %w", rule.Kind, ErrEmpty)
		}
		if !rule.aboutScope() {
			continue
		}
		for _, scope := range rule.Values {
			if !slices.Contains(policy.scopes, scope) {
				policy.scopes = append(policy.scopes, scope)
			}
		}
	}
	return policy, nil
}

// Scopes are all scopes that the policy names: what a client should ask for.
func (p *Policy) Scopes() []string { return p.scopes }

// A Decision says whether a token may pass, and why not.
type Decision struct {
	Allowed bool
	// Rule is the rule that was not fulfilled, as the operator wrote it.
	Rule string
	// Reason says why it was not.
	Reason string
	// ScopeHelps tells whether a token with more scope would pass.
	ScopeHelps bool
}

// Decide tells whether the token fulfils every rule. expand fills request
// placeholders into the values of claim rules; nil leaves them as they are. A
// rule about scope is named only if all others hold: asking for more scope must
// not be advice that leads nowhere.
func (p *Policy) Decide(t *token.Token, expand func(string) string) Decision {
	decision := Decision{Allowed: true}
	for _, rule := range p.rules {
		reason := rule.holds(t, expand)
		if reason == "" || (!decision.Allowed && rule.aboutScope()) {
			continue
		}
		decision = Decision{Rule: rule.String(), Reason: reason, ScopeHelps: rule.aboutScope()}
		if !decision.ScopeHelps {
			break
		}
	}
	return decision
}
