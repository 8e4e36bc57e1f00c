package exchange

import (
	"net/url"
	"slices"
)

// A Grant is how a token is asked for.
type Grant string

// The grants.
const (
	// GrantTokenExchange sends the caller's token as subject_token (RFC 8693).
	GrantTokenExchange Grant = "token_exchange"
	// GrantJWTBearer sends it as assertion (RFC 7523, section 2.1).
	GrantJWTBearer Grant = "jwt_bearer"
	// GrantClientCredentials sends nothing of the caller: the gateway asks in its
	// own name (RFC 6749, section 4.4).
	GrantClientCredentials Grant = "client_credentials"
	// GrantLocal asks nobody: the gateway mints the token itself.
	GrantLocal Grant = "local"
)

// grantTypes are the values of grant_type.
var grantTypes = map[Grant]string{ //nolint:gosec // names, not credentials
	GrantTokenExchange:     "urn:ietf:params:oauth:grant-type:token-exchange",
	GrantJWTBearer:         "urn:ietf:params:oauth:grant-type:jwt-bearer",
	GrantClientCredentials: "client_credentials",
}

// hasSubject tells whether a token of the caller's is part of the request.
func (g Grant) hasSubject() bool { return g != GrantClientCredentials }

// reservedParams are the form fields that every exchange writes itself or that
// client authentication does, and those of one grant alone.
var (
	reservedParams = []string{
		"grant_type", "audience", "resource", "scope",
		"client_id", "client_secret", "client_assertion", "client_assertion_type",
	}
	reservedByGrant = map[Grant][]string{
		GrantTokenExchange: {
			"subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type",
		},
		GrantJWTBearer: {"assertion"},
	}
)

// ReservedParam tells whether a form field is one that an exchange with that
// grant writes itself, so that no Param may have its name.
func ReservedParam(grant Grant, name string) bool {
	return slices.Contains(reservedParams, name) || slices.Contains(reservedByGrant[grant], name)
}

// commonForm lays out the fields that do not depend on the caller (RFC 8693,
// section 2.1; RFC 7523, section 2.1).
func commonForm(l Leg) url.Values {
	form := url.Values{"grant_type": {grantTypes[l.Grant]}}
	if l.Grant == GrantTokenExchange {
		form.Set("subject_token_type", l.SubjectType)
		if l.RequestedType != "" {
			form.Set("requested_token_type", l.RequestedType)
		}
	}
	for name, values := range map[string][]string{"audience": l.Audience, "resource": l.Resource} {
		if len(values) > 0 {
			form[name] = slices.Clone(values)
		}
	}
	for _, param := range l.Params {
		form.Add(param.Name, param.Value)
	}
	return form
}

// subjectField is the form field that holds the token to be exchanged, "" for
// none.
func (g Grant) subjectField() string {
	switch g {
	case GrantTokenExchange:
		return "subject_token"
	case GrantJWTBearer:
		return "assertion"
	default:
		return ""
	}
}
