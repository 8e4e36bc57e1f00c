package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Kind names what a rule looks at.
type Kind string

// The kinds of rules, by their word in the configuration.
const (
	Scope    Kind = "scope"     // the token holds all of these scopes
	AnyScope Kind = "any_scope" // the token holds one of these scopes
	Audience Kind = "audience"  // aud is, or contains, one of these
	Issuer   Kind = "issuer"    // iss is one of these URLs
	Client   Kind = "client"    // the token was issued to one of these clients
	Claim    Kind = "claim"     // the claim is, or contains, one of these
)

// A Rule is one condition on a token.
type Rule struct {
	Kind Kind
	// Path is the claim of a claim rule; see token.Claims.Lookup.
	Path string
	// Values are what is compared, exactly. Those of a claim rule may hold
	// request placeholders.
	Values []string
}

// String is the rule as an operator wrote it.
func (r Rule) String() string {
	words := []string{string(r.Kind)}
	if r.Path != "" {
		words = append(words, r.Path)
	}
	return strings.Join(append(words, r.Values...), " ")
}

// aboutScope tells whether a token with more scope could fulfil the rule.
func (r Rule) aboutScope() bool { return r.Kind == Scope || r.Kind == AnyScope }

// holds decides one rule. The reason is empty if it holds; it names what was
// asked, and of the token only what is not there.
func (r Rule) holds(t *token.Token, expand func(string) string) (reason string) {
	switch r.Kind {
	case Scope:
		return r.missingScopes(t)
	case AnyScope:
		return unless(slices.ContainsFunc(r.Values, t.HasScope), "the token holds none of the scopes")
	case Audience:
		return unless(slices.ContainsFunc(r.Values, t.HasAudience), "the token is for another audience")
	case Issuer:
		return unless(slices.Contains(r.Values, t.Issuer), "the token is from another issuer")
	case Client:
		return unless(t.Client != "" && slices.Contains(r.Values, t.Client), "the token was issued to another client")
	case Claim:
		return r.claimHolds(t, expand)
	default:
		// A rule that nobody understands must not let anyone pass.
		return fmt.Sprintf("rule %s is not known", r.Kind)
	}
}

func (r Rule) missingScopes(t *token.Token) string {
	var missing []string
	for _, scope := range r.Values {
		if !t.HasScope(scope) {
			missing = append(missing, scope)
		}
	}
	return unless(len(missing) == 0, "the token lacks scope "+strings.Join(missing, " "))
}

func (r Rule) claimHolds(t *token.Token, expand func(string) string) string {
	held := t.Claims.Texts(r.Path)
	if len(held) == 0 {
		return "the token has no claim " + r.Path
	}
	for _, value := range r.Values {
		if expand != nil {
			value = expand(value)
		}
		// A placeholder that came out empty must not equal an empty claim: the
		// caller could have left out what it was made of.
		if value != "" && slices.Contains(held, value) {
			return ""
		}
	}
	return "claim " + r.Path + " has another value"
}

func unless(holds bool, reason string) string {
	if holds {
		return ""
	}
	return reason
}
