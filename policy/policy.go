package policy

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// ErrEmpty says that a rule or a policy asks for nothing, which everyone would
// fulfil.
var ErrEmpty = errors.New("it asks for nothing, so everyone would pass")

// ErrImpossible says that no token can fulfil a policy.
var ErrImpossible = errors.New("no acr is in every acr rule, so nobody could pass")

// A Policy is a list of rules that must all hold. It is immutable.
type Policy struct {
	rules  []Rule
	scopes []string
	stepUp StepUp
	text   string
	// expands tells that some rule has placeholders to fill in.
	expands bool
	// number is this policy's own, 0 if it has none; see Remember.
	number uint32
	uses   token.Uses
}

// numbers counts the policies. Once all numbers are given, none gets one.
var numbers atomic.Uint64 //nolint:gochecknoglobals // a number is given once in a process

// New makes a policy. It fails if the policy, or a rule of it, is empty, and if
// its acr rules have no value in common.
func New(rules []Rule) (*Policy, error) {
	if len(rules) == 0 {
		return nil, ErrEmpty
	}
	policy := &Policy{rules: slices.Clone(rules)}
	texts := make([]string, 0, len(rules))
	for i := range policy.rules {
		rule := &policy.rules[i]
		if rule.isEmpty() {
			return nil, fmt.Errorf("rule %s: %w", rule.Kind, ErrEmpty)
		}
		if err := policy.note(rule); err != nil {
			return nil, err
		}
		texts = append(texts, rule.String())
	}
	policy.text = strings.Join(texts, "; ")
	return policy, nil
}

// Remember gives the policy a number, by which tokens note that they fulfil it, where that
// is for good. It is for whoever asks Fulfilled, and called before anybody does.
func (p *Policy) Remember() {
	if slices.ContainsFunc(p.rules, func(rule Rule) bool { return !rule.isForGood() }) {
		return
	}
	if number := numbers.Add(1); number <= math.MaxUint32 {
		p.number = uint32(number)
	}
}

// Fulfilled tells that the token fulfilled every rule when it was asked last, and will for
// ever: neither the token nor the policy changes. False says nothing.
func (p *Policy) Fulfilled(held *token.Token) bool { return p.number != 0 && held.Noted() == p.number }

// noteFulfilled leaves at a token that it fulfils the policy. There is room for one: another policy
// gives way now and then, so that the one that is used now is found.
func (p *Policy) noteFulfilled(held *token.Token) {
	if p.number != 0 && (held.Noted() == 0 || p.uses.Seldom()) {
		held.Note(p.number)
	}
}

// note gathers what challenges must name.
func (p *Policy) note(rule *Rule) error {
	if rule.aboutScope() {
		for _, scope := range rule.Values {
			if !slices.Contains(p.scopes, scope) {
				p.scopes = append(p.scopes, scope)
			}
		}
	}
	p.expands = p.expands || rule.Kind == Claim && slices.ContainsFunc(rule.Values, hasPlaceholder)
	login := StepUp{MaxAge: rule.Age}
	if rule.Kind == ACR {
		login.ACR = rule.Values
		if p.stepUp.ACR != nil && len(shared(p.stepUp.ACR, rule.Values)) == 0 {
			return fmt.Errorf("rule %s: %w", rule, ErrImpossible)
		}
	}
	p.stepUp = p.stepUp.And(login)
	return nil
}

// Scopes are all scopes that the policy names: what a client should ask for.
func (p *Policy) Scopes() []string { return p.scopes }

// StepUp is the login that the policy asks for.
func (p *Policy) StepUp() StepUp { return p.stepUp }

// Expands tells whether some rule has placeholders, so that a question needs an
// Expand.
func (p *Policy) Expands() bool { return p.expands }

func hasPlaceholder(value string) bool { return strings.Contains(value, "{") }

// String is all rules, as an operator wrote them.
func (p *Policy) String() string { return p.text }

// A StepUp is the login that a client should ask for (RFC 9470, section 4).
type StepUp struct {
	// ACR are the acr values of which one is needed, nil if any will do.
	ACR []string
	// MaxAge is how old the login may be, 0 for any age.
	MaxAge time.Duration
}

// IsZero tells whether any login will do.
func (s StepUp) IsZero() bool { return len(s.ACR) == 0 && s.MaxAge == 0 }

// And asks for both. Where no acr is in both, the other's alone are named: that
// is the one that refuses.
func (s StepUp) And(other StepUp) StepUp {
	if other.IsZero() {
		return s
	}
	switch both := shared(s.ACR, other.ACR); {
	case len(other.ACR) == 0:
	case len(both) == 0:
		s.ACR = other.ACR
	default:
		s.ACR = both
	}
	if s.MaxAge == 0 || (other.MaxAge != 0 && other.MaxAge < s.MaxAge) {
		s.MaxAge = other.MaxAge
	}
	return s
}

func shared(one, other []string) []string {
	var both []string
	for _, value := range one {
		if slices.Contains(other, value) {
			both = append(both, value)
		}
	}
	return both
}

// A Question is one token, and what rules may ask about its request.
type Question struct {
	Token *token.Token
	// Request is what expressions look at.
	Request *http.Request
	// Expand fills request placeholders into the values of claim rules; nil leaves
	// them as they are.
	Expand func(string) string
	// Shown are the ways in which the token was shown to be the caller's own: dpop,
	// mtls.
	Shown []string
	// Leeway is how far the issuer's clock may be off.
	Leeway time.Duration
}

// A Denial says why a token may not pass.
type Denial struct {
	// Kind is the kind of the rule that was not fulfilled: a name from a fixed
	// list, unlike Rule.
	Kind Kind
	// Rule is the rule that was not fulfilled, as the operator wrote it.
	Rule string
	// Reason says why it was not.
	Reason string
	// LoginHelps tells that a newer or stronger login is needed, and ScopeHelps
	// that more scope is. With what is true here, the token would pass.
	LoginHelps, ScopeHelps bool
	// KeyHelps tells that the rule takes tokens that are bound to a key (DPoP).
	KeyHelps bool
}

// Denies returns why the token may not pass, nil if it fulfils every rule.
func (p *Policy) Denies(question *Question) *Denial {
	for i := range p.rules {
		if reason := p.rules[i].holds(question); reason != "" {
			return p.denial(question, i, reason)
		}
	}
	p.noteFulfilled(question.Token)
	return nil
}

// denial goes on behind the first rule that does not hold. What is advised must not
// lead nowhere: a rule about the login is named only if all others but those
// about scope hold, and one about scope only if all others do.
func (p *Policy) denial(question *Question, first int, reason string) *Denial {
	var named *Denial
	for i := first; i < len(p.rules); i++ {
		rule := &p.rules[i]
		if i > first {
			reason = rule.holds(question)
		}
		if reason == "" {
			continue
		}
		denied := &Denial{Kind: rule.Kind, Rule: rule.String(), Reason: reason, KeyHelps: rule.aboutKey()}
		switch {
		case rule.aboutScope():
			if named == nil {
				named = denied
			}
			named.ScopeHelps = true
		case rule.aboutLogin():
			if named == nil || !named.LoginHelps {
				denied.ScopeHelps = named != nil && named.ScopeHelps
				named = denied
			}
			named.LoginHelps = true
		default:
			return denied
		}
	}
	return named
}
