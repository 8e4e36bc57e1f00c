package exchange

import (
	"errors"
	"maps"
	"reflect"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// MaxActors bounds a chain of actors, the one that an exchange adds included.
// Each is a party that could act for the user; a longer chain is a loop or a
// design that nobody oversees.
const MaxActors = 4

var (
	errMayAct = errors.New("the caller's token has a may_act claim that does not name the actor")
	errItself = errors.New("the actor is the caller itself")
	errChain  = errors.New("the caller's token names more actors than a chain may have")
)

// checkDelegation tells whether somebody may act for the caller (RFC 8693,
// sections 4.1 and 4.4). actor is nil where nobody is named; added is how many
// actors all legs together add to the caller's.
func checkDelegation(caller *token.Token, actor *actorToken, added int) error {
	if caller == nil {
		return nil
	}
	act, _ := caller.Claims.Get("act")
	if chainLength(act)+added > MaxActors {
		return newError(OutcomeChainTooLong, errChain)
	}
	if actor == nil {
		return nil
	}
	if actor.claims["sub"] == caller.Subject && actor.claims["iss"] == caller.Issuer && caller.Subject != "" {
		return newError(OutcomeActorDenied, errItself)
	}
	if caller.Claims.Has("may_act") {
		allowed, _ := caller.Claims.Get("may_act")
		if !mayAct(allowed, actor.claims) {
			return newError(OutcomeActorDenied, errMayAct)
		}
	}
	return nil
}

// Delegate returns the act claim of a token by which actor acts for the subject of a
// verified token: the actor around all who acted before it (RFC 8693, section 4.1).
// actor are its claims, iss and sub at least; nil: nobody is named, and the claim is
// that of the subject. It is nil if nobody acts. It may be shared and must not be
// changed.
//
// Errors are an *Error: OutcomeActorDenied where the actor is the subject itself, or
// may_act does not name it or wants somebody and nobody is named; and
// OutcomeChainTooLong. What counts is what the subject's token says, and never
// how it was asked.
func Delegate(subject *token.Token, actor map[string]any) (map[string]any, error) {
	var named *actorToken
	added := 0
	if actor != nil {
		named, added = &actorToken{claims: actor}, 1
	}
	if err := checkDelegation(subject, named, added); err != nil {
		return nil, err
	}
	before := actors(subject)
	if actor == nil {
		if subject != nil && subject.Claims.Has("may_act") {
			return nil, newError(OutcomeActorDenied, errMayAct)
		}
		return before, nil
	}
	if _, nested := actor["act"]; before == nil && !nested {
		return actor, nil
	}
	act := maps.Clone(actor)
	delete(act, "act")
	if before != nil {
		act["act"] = before
	}
	return act, nil
}

// actors is a token's act claim, nil if there is none or it is no object.
func actors(of *token.Token) map[string]any {
	if of == nil {
		return nil
	}
	act, _ := of.Claims.Get("act")
	before, _ := act.(map[string]any)
	return before
}

// chainLength counts the actors of an act claim.
func chainLength(act any) int {
	length := 0
	for {
		actor, ok := act.(map[string]any)
		if !ok {
			return length
		}
		length++
		act = actor["act"]
	}
}

// mayAct compares every member that the claim gives with what the actor is. An
// empty object, or one that is no object, names nobody.
func mayAct(claim any, actor map[string]any) bool {
	wanted, ok := claim.(map[string]any)
	if !ok || len(wanted) == 0 {
		return false
	}
	for name, value := range wanted {
		if got, ok := actor[name]; !ok || !reflect.DeepEqual(got, value) {
			return false
		}
	}
	return true
}
