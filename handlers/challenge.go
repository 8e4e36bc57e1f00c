package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A challenger writes the refusals of one token_auth: every directive behind it
// answers in its name, so that a caller is told the same wherever it fails.
type challenger struct {
	realm string
	// metadata is where the metadata of the protected resource is (RFC 9728,
	// section 5.1), "" for nowhere.
	metadata string
	// algorithms are those of DPoP proofs.
	algorithms string
	// dpop: that scheme is offered. onlyDPoP: and no other.
	dpop, onlyDPoP bool
	// proved: this caller came under the scheme DPoP, and is answered there.
	proved bool
}

func challengerOf(directive *config.TokenAuth, algorithms []jose.Algorithm) challenger {
	names := make([]string, len(algorithms))
	for i, algorithm := range algorithms {
		names[i] = string(algorithm)
	}
	speak := challenger{
		realm:      cmp.Or(directive.Realm, config.DefaultRealm),
		metadata:   config.ResourceMetadataURL(directive.Resource),
		algorithms: strings.Join(names, " "),
	}
	bearer, dpop := directive.Schemes()
	speak.dpop, speak.onlyDPoP = dpop, !bearer
	return speak
}

// challenge writes a WWW-Authenticate header of the scheme that the caller came
// under (RFC 6750, section 3; RFC 9449, section 7.1), or of the one that there is.
// Parameters come as names and values in turn; empty values are left out.
func (c challenger) challenge(parameters ...string) string {
	if c.proved || c.onlyDPoP {
		return c.scheme("DPoP", append(slices.Clip(parameters), "algs", c.algorithms)...)
	}
	return c.scheme("Bearer", parameters...)
}

// beside is the offer of the scheme DPoP that stands behind a challenge of Bearer
// (RFC 9449, section 7.2), "" for none.
func (c challenger) beside() string {
	if c.proved || c.onlyDPoP || !c.dpop {
		return ""
	}
	return c.scheme("DPoP", "algs", c.algorithms)
}

func (c challenger) scheme(name string, parameters ...string) string {
	var text strings.Builder
	text.WriteString(name)
	text.WriteString(" realm=")
	text.WriteString(quoted(c.realm))
	parameters = append(slices.Clip(parameters), "resource_metadata", c.metadata)
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] == "" {
			continue
		}
		text.WriteString(", ")
		text.WriteString(parameters[i])
		text.WriteByte('=')
		text.WriteString(quoted(parameters[i+1]))
	}
	return text.String()
}

// unauthenticated is the answer to a request without a credential. It has no
// error code (RFC 6750, section 3.1).
func (c challenger) unauthenticated() answer {
	return answer{
		status: http.StatusUnauthorized, description: "This API needs an access token.",
		challenge: c.challenge(), beside: c.beside(),
	}
}

// refusal is an answer with an error code in its challenge.
func (c challenger) refusal(status int, code, description string) answer {
	return answer{
		status: status, code: code, description: description,
		challenge: c.challenge("error", code, "error_description", description),
	}
}

// invalidToken says that the token is not good. Who presented it as a bearer's is
// told of the other scheme too.
func (c challenger) invalidToken() answer {
	reply := c.refusal(http.StatusUnauthorized, "invalid_token", "The access token is not valid for this API.")
	reply.beside = c.beside()
	return reply
}

// insufficientScope asks for a token with these scopes (RFC 6750, section 3.1).
func (c challenger) insufficientScope(scopes []string) answer {
	const description = "The access token lacks scope that this request needs."
	return answer{
		status: http.StatusForbidden, code: "insufficient_scope", description: description,
		challenge: c.challenge("error", "insufficient_scope",
			"error_description", description, "scope", strings.Join(scopes, " ")),
	}
}

// quoted writes a quoted-string of the characters that RFC 6750, section 3,
// allows in every parameter; others are dropped, so that no value can end the
// string or the header.
func quoted(text string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text) + `"`
}
