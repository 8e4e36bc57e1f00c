package policy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Kind names what a rule looks at.
type Kind string

// The kinds of rules, by their word in the configuration.
const (
	Scope      Kind = "scope"              // the token holds all of these scopes
	AnyScope   Kind = "any_scope"          // the token holds one of these scopes
	Audience   Kind = "audience"           // aud is, or contains, one of these
	Issuer     Kind = "issuer"             // iss is one of these URLs
	Client     Kind = "client"             // the token was issued to one of these clients
	Role       Kind = "role"               // the token holds one of these roles
	Actor      Kind = "actor"              // the current actor is one of these (RFC 8693, section 4.1)
	Claim      Kind = "claim"              // the claim is, or contains, one of these
	ACR        Kind = "acr"                // the login was of one of these classes
	MaxAuthAge Kind = "max_auth_age"       // the login is not older than this
	AMR        Kind = "amr"                // the login used one of these methods
	Sender     Kind = "sender_constrained" // it was shown to be the caller's own in one of these ways
	Expr       Kind = "expression"         // the expression is true
)

// An Expression is a condition in a language of its own, compiled at load. An
// error of it denies.
type Expression interface {
	// MatchWithError evaluates it for one request. It may be called by several
	// goroutines at once.
	MatchWithError(r *http.Request) (bool, error)
}

// A Rule is one condition on a token.
type Rule struct {
	Kind Kind
	// Path is the claim of a claim rule; see token.Claims.Lookup.
	Path string
	// Values are what is compared, exactly. Those of a claim rule may hold
	// request placeholders. Those of max_auth_age and expression are their text,
	// for messages.
	Values []string
	// Age is the limit of a max_auth_age rule, in whole seconds.
	Age time.Duration
	// Expression is that of an expression rule.
	Expression Expression
	// Policy is the name of the policy that the rule came with, "" if it was
	// written where it is used.
	Policy string
}

// String is the rule as an operator wrote it, behind the name of its policy.
func (r *Rule) String() string {
	words := make([]string, 0, len(r.Values)+4)
	if r.Policy != "" {
		words = append(words, "policy", r.Policy+":")
	}
	words = append(words, string(r.Kind))
	if r.Path != "" {
		words = append(words, r.Path)
	}
	return strings.Join(append(words, r.Values...), " ")
}

// aboutScope tells whether a token with more scope could fulfil the rule.
func (r *Rule) aboutScope() bool { return r.Kind == Scope || r.Kind == AnyScope }

// aboutLogin tells whether a newer or stronger login could fulfil the rule.
func (r *Rule) aboutLogin() bool { return r.Kind == ACR || r.Kind == MaxAuthAge || r.Kind == AMR }

// aboutKey tells whether a token that is bound to a key could fulfil the rule.
func (r *Rule) aboutKey() bool { return r.Kind == Sender && slices.Contains(r.Values, "dpop") }

// isEmpty tells whether the rule lacks what it asks for.
func (r *Rule) isEmpty() bool {
	return len(r.Values) == 0 || slices.Contains(r.Values, "") ||
		(r.Kind == Claim) != (r.Path != "") ||
		(r.Kind == MaxAuthAge) != (r.Age > 0) ||
		(r.Kind == Expr) != (r.Expression != nil)
}

// holds decides one rule. The reason is empty if it holds; it names what was
// asked, and of the token only what is not there.
func (r *Rule) holds(q *Question) (reason string) {
	t := q.Token
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
		return unless(r.names(t.Client), "the token was issued to another client")
	case Role:
		return unless(slices.ContainsFunc(t.Roles, r.names), "the token holds none of the roles")
	case Actor:
		return unless(r.names(t.Actor), "the token has another actor, or none")
	case Claim:
		return r.claimHolds(q)
	case Sender:
		return unless(slices.ContainsFunc(q.Shown, r.names), "the token was not shown to be the caller's own in this way")
	case Expr:
		return r.expressionHolds(q)
	default:
		return r.loginHolds(q)
	}
}

// isForGood tells of a rule that says the same of a token each time: it looks neither at the
// request nor at the time.
func (r *Rule) isForGood() bool {
	switch r.Kind {
	case Scope, AnyScope, Audience, Issuer, Client, Role, Actor, ACR, AMR:
		return true
	case Claim:
		return !slices.ContainsFunc(r.Values, hasPlaceholder)
	default:
		return false
	}
}

// names tells whether a value is one of the rule's. What is absent is none.
func (r *Rule) names(value string) bool { return value != "" && slices.Contains(r.Values, value) }

func (r *Rule) missingScopes(t *token.Token) string {
	for i, scope := range r.Values {
		if !t.HasScope(scope) { // on the way of every request: no text is put together
			missing := slices.DeleteFunc(slices.Clone(r.Values[i:]), t.HasScope)
			return "the token lacks scope " + strings.Join(missing, " ")
		}
	}
	return ""
}

func (r *Rule) claimHolds(q *Question) string {
	held := q.Token.Claims.Texts(r.Path)
	if len(held) == 0 {
		return "the token has no claim " + r.Path
	}
	for _, value := range r.Values {
		if q.Expand != nil {
			value = q.Expand(value)
		}
		// A placeholder that came out empty must not equal an empty claim: the
		// caller could have left out what it was made of.
		if value != "" && slices.Contains(held, value) {
			return ""
		}
	}
	return "claim " + r.Path + " has another value"
}

// expressionHolds never tells why an expression failed: its error may quote what
// the request held. Whoever evaluates it may log more.
func (r *Rule) expressionHolds(q *Question) string {
	if q.Request == nil {
		return "the expression has no request to look at"
	}
	holds, err := r.Expression.MatchWithError(q.Request)
	if err != nil {
		return "the expression cannot be evaluated for this request"
	}
	return unless(holds, "the expression is false")
}

// loginHolds decides the rules about how and when the user logged in
// (RFC 9470).
func (r *Rule) loginHolds(q *Question) string {
	switch r.Kind {
	case ACR:
		return unless(r.names(q.Token.ACR), "the login is of another class (acr), or of none")
	case AMR:
		return unless(slices.ContainsFunc(q.Token.AMR, r.names), "the login used none of the methods (amr)")
	case MaxAuthAge:
		return r.recent(q.Token.AuthTime, q.Leeway)
	default:
		// A rule that nobody understands must not let anyone pass.
		return fmt.Sprintf("rule %s is not known", r.Kind)
	}
}

// recent decides max_auth_age. A login in the future is as good as none: it
// would never grow old.
func (r *Rule) recent(login time.Time, leeway time.Duration) string {
	if login.IsZero() {
		return "the token does not say when the user logged in (auth_time)"
	}
	age := time.Since(login)
	if age < -leeway {
		return "the login lies in the future (auth_time)"
	}
	return unless(age <= r.Age+leeway, "the login is too old (auth_time)")
}

func unless(holds bool, reason string) string {
	if holds {
		return ""
	}
	return reason
}
