package exchange

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Leg is one request for a token: who is asked, for what, and what of the
// answer is believed.
type Leg struct {
	// Grant is how it asks. Default: GrantTokenExchange.
	Grant Grant
	// Client asks the server.
	Client Requester
	// SubjectType is the URI of what is exchanged, for GrantTokenExchange.
	// Default: what the leg before asked for, else TypeAccessToken.
	SubjectType string
	// Actor says who acts for the subject, nil: nobody is named.
	Actor *Actor
	// Audience and Resource name the target (RFC 8693, section 2.1; RFC 8707).
	Audience, Resource []string
	// Scope is a ceiling: asked for is what of it the caller holds. Default:
	// nothing is asked, and what is granted must lie within what the caller holds.
	Scope []string
	// ScopeExact is asked for whatever the caller holds, instead of Scope.
	ScopeExact []string
	// ScopeMap says what to ask for instead of a scope of Scope.
	ScopeMap map[string][]string
	// RequestedType is the URI of the type asked for. Default: none, which leaves
	// it to the server.
	RequestedType string
	// Params are further form fields.
	Params []Param
	// Accept says what may come back.
	Accept Accept
}

// Accept says which answers are good.
type Accept struct {
	// Issued are the values of issued_token_type. Default: the requested type,
	// else an access token or a JWT.
	Issued []string
	// TokenTypes are the values of token_type, in any case. Default: Bearer, and
	// N_A where another leg follows (RFC 8693, section 2.2.1).
	TokenTypes []string
	// WiderScope takes tokens that may do more than was asked for.
	WiderScope bool
	// Verifier verifies the token that came back, nil: nobody does. VerifyIssuer
	// is whose token it must be.
	Verifier     Verifier
	VerifyIssuer string
}

func (l Leg) grant() Grant {
	if l.Grant == "" {
		return GrantTokenExchange
	}
	return l.Grant
}

// withDefaults fills in what the leg leaves open; fed is the type that the leg
// before it asked for.
func (l Leg) withDefaults(last bool, fed string) Leg {
	l.Grant = l.grant()
	if l.SubjectType == "" {
		l.SubjectType = TypeAccessToken
		if fed != "" {
			l.SubjectType = fed
		}
	}
	if len(l.Accept.Issued) == 0 {
		l.Accept.Issued = []string{TypeAccessToken, TypeJWT}
		if l.RequestedType != "" {
			l.Accept.Issued = []string{l.RequestedType}
		}
	}
	if len(l.Accept.TokenTypes) == 0 {
		l.Accept.TokenTypes = []string{"Bearer"}
		if !last {
			l.Accept.TokenTypes = []string{"Bearer", "N_A"}
		}
	}
	return l
}

func (l Leg) check() error {
	switch {
	case l.Client == nil:
		return errors.New("client is missing")
	case grantTypes[l.grant()] == "":
		return fmt.Errorf("unknown grant %q", l.Grant)
	case l.Actor != nil && l.grant() != GrantTokenExchange:
		return errors.New("actor needs grant token_exchange: the other grants have no actor (RFC 8693, section 2.1)")
	case l.Accept.Verifier != nil && len(l.Audience)+len(l.Resource) == 0:
		return errors.New("verify needs an audience or a resource to look for")
	}
	return l.checkRequest()
}

// checkRequest looks at what a token is asked for, whoever makes it.
func (l Leg) checkRequest() error {
	if len(l.Scope) > 0 && len(l.ScopeExact) > 0 {
		return errors.New("scope and scope_exact exclude each other")
	}
	return errors.Join(l.checkTargets(), l.checkScopes())
}

func (l Leg) checkTargets() error {
	for _, list := range [][]string{l.Audience, l.Accept.Issued, l.Accept.TokenTypes} {
		if slices.Contains(list, "") {
			return errors.New("an empty value in audience, issued_type or token_type")
		}
	}
	for _, resource := range l.Resource {
		if !absoluteURI(resource) {
			return fmt.Errorf("resource %q is not an absolute URI without a fragment (RFC 8693, section 2.1)", resource)
		}
	}
	for _, param := range l.Params {
		if param.Name == "" || ReservedParam(l.grant(), param.Name) {
			return fmt.Errorf("param %q is a field that the exchange writes itself", param.Name)
		}
	}
	return nil
}

func (l Leg) checkScopes() error {
	for _, scope := range slices.Concat(l.Scope, l.ScopeExact) {
		if !validScope(scope) {
			return fmt.Errorf("scope %q holds a character that scopes do not have (RFC 6749, section 3.3)", scope)
		}
	}
	for held, asked := range l.ScopeMap {
		if !slices.Contains(l.Scope, held) {
			return fmt.Errorf("scope_map %s: scope does not name it", held)
		}
		for _, scope := range asked {
			if !validScope(scope) {
				return fmt.Errorf("scope_map %s: %q is no scope (RFC 6749, section 3.3)", held, scope)
			}
		}
	}
	return nil
}

// validScope tells whether a text is a scope-token of RFC 6749, section 3.3.
func validScope(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}

// A leg is a Leg made ready.
type leg struct {
	Leg

	// number counts from one.
	number int
	// settings and target are parts of keys and of the success memory's. They
	// cover the legs before this one, which made what it is fed with.
	settings, target fingerprint
	// ceiling are the scopes of the configuration in the order of a key, exact
	// those that are asked for in any case.
	ceiling []ceilingScope
	exact   []string
	// form is what every request has in common.
	form url.Values
	// prover proves the key that the token is bound to, nil for a bearer token.
	prover authserver.Prover
	// turns bound the calls that it makes, of all that its endpoint allows.
	turns *authserver.Turns
}

// A ceilingScope is what to ask for if the caller holds a scope.
type ceilingScope struct {
	held  string
	asked []string
}

func newLeg(config Leg, number int, settings fingerprint) *leg {
	made := &leg{
		Leg: config, number: number, settings: settings, exact: sorted(config.ScopeExact), form: commonForm(config),
		turns:  authserver.ShareOfTurns(),
		target: targetOf(settings, slices.Concat(config.Scope, config.ScopeExact)),
	}
	for _, held := range sorted(config.Scope) {
		asked := sorted(config.ScopeMap[held])
		if len(asked) == 0 {
			asked = []string{held}
		}
		made.ceiling = append(made.ceiling, ceilingScope{held, asked})
	}
	return made
}

// ask appends the scopes to ask for: what of the ceiling the caller holds, by the
// names that the server knows. A nil caller holds nothing.
func (l *leg) ask(to []string, caller *token.Token) []string {
	start := len(to)
	if caller != nil {
		for _, scope := range l.ceiling {
			if caller.HasScope(scope.held) {
				to = append(to, scope.asked...)
			}
		}
	}
	if len(l.ScopeMap) > 0 {
		slices.Sort(to[start:]) // two names here may be one name there
		to = to[:start+len(slices.Compact(to[start:]))]
	}
	return append(to, l.exact...)
}

// asks appends the scopes that each leg asks for, an empty one behind those of each
// but the last. lacking is a leg of whose scopes the caller holds none.
func (x *Exchanger) asks(to []string, caller Caller) (asked []string, lacking *leg) {
	for _, leg := range x.legs {
		before := len(to)
		if to = leg.ask(to, caller.Token); len(leg.ceiling) > 0 && len(to) == before {
			return nil, leg
		}
		if leg != x.legs[len(x.legs)-1] {
			to = append(to, "")
		}
	}
	return to, nil
}

// asksNothing tells whether no scope is asked for, so that the answer's is bounded
// by what the caller holds.
func (l *leg) asksNothing() bool { return len(l.ceiling) == 0 && len(l.exact) == 0 }

// fill makes the form of one request.
func (l *leg) fill(subject token.Raw, actor *actorToken, asked []string) url.Values {
	form := make(url.Values, len(l.form)+4) //nolint:mnd // subject, scope and both fields of an actor
	maps.Copy(form, l.form)
	if field := l.Grant.subjectField(); field != "" {
		form.Set(field, subject.Reveal())
	}
	if actor != nil {
		form.Set("actor_token", actor.raw.Reveal())
		form.Set("actor_token_type", actor.kind)
	}
	if len(asked) > 0 {
		form.Set("scope", strings.Join(asked, " "))
	}
	return form
}

// targets are all that the token is asked for.
func (l *leg) targets() []string { return slices.Concat(l.Audience, l.Resource) }
