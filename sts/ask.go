package sts

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

var (
	errNoTarget   = errors.New("no audience or resource is asked for, and the client may have several")
	errTargets    = errors.New("more than one audience or resource is asked for")
	errTarget     = errors.New("the client may not have this audience or resource")
	errResource   = errors.New("resource is not an absolute URI without a fragment")
	errScopeWords = errors.New("scope is not a list of scopes")
	errScope      = errors.New("nothing of the scope asked for is both the subject's and the client's")
	errScopeNone  = errors.New("the subject token does not say what its scope is")
)

// target is the one service that the token will be for (RFC 9700, section 2.3).
// audience and resource mean the same here; a value that holds blanks is one value.
// Who may have one target only need not name it.
func target(client *Client, asked form) (string, *Error) {
	for _, uri := range asked[paramResource] {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
			return "", refuse(OutcomeTarget, errResource)
		}
	}
	targets := slices.Concat(asked[paramAudience], asked[paramResource])
	slices.Sort(targets)
	targets = slices.Compact(targets)
	switch {
	case len(targets) == 0 && len(client.Audience) == 1:
		return client.Audience[0], nil
	case len(targets) == 0:
		return "", refuse(OutcomeTarget, errNoTarget)
	case len(targets) > 1:
		return "", refuse(OutcomeTarget, errTargets)
	case !may(client.Audience, targets[0]):
		return "", refuse(OutcomeTarget, errTarget)
	default:
		return targets[0], nil
	}
}

// maxScope bounds the scope parameter, which goes into the audit trail.
const maxScope = 4 << 10

// askedScope reads the scope parameter (RFC 6749, section 3.3), nil if it is absent.
func askedScope(asked form) ([]string, *Error) {
	if len(asked.get(paramScope)) > maxScope {
		return nil, refuse(OutcomeScope, errScopeWords)
	}
	scopes := strings.FieldsFunc(asked.get(paramScope), func(c rune) bool { return c == ' ' })
	for _, scope := range scopes {
		for _, c := range []byte(scope) {
			if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
				return nil, refuse(OutcomeScope, errScopeWords)
			}
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// granted is what is asked for, cut down to what each of the ceilings has, of which
// the client's is the last. Where nothing is asked for, all that may be had is
// granted. If that is nothing it is refused: to some services a token without scope
// is one for everything. Only a client without any scope gets such a one.
func granted(asked []string, ceilings ...[]string) ([]string, *Error) {
	scope := asked
	if len(asked) == 0 {
		scope = slices.Compact(slices.Sorted(slices.Values(ceilings[0]))) // an issuer may name one twice
	}
	scope = slices.Clone(scope)
	for _, ceiling := range ceilings {
		scope = slices.DeleteFunc(scope, func(one string) bool { return !slices.Contains(ceiling, one) })
	}
	if len(scope) == 0 && (len(asked) > 0 || len(ceilings[len(ceilings)-1]) > 0) {
		return nil, refuse(OutcomeScope, errScope)
	}
	return scope, nil
}
