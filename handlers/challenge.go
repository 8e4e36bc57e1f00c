package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// A challenger writes the refusals of one token_auth: every directive behind it
// answers in its name, so that a caller is told the same wherever it fails.
type challenger struct {
	realm string
	// metadata is where the metadata of the protected resource is (RFC 9728,
	// section 5.1), "" for nowhere.
	metadata string
}

func challengerOf(directive *config.TokenAuth) challenger {
	return challenger{
		realm:    cmp.Or(directive.Realm, config.DefaultRealm),
		metadata: config.ResourceMetadataURL(directive.Resource),
	}
}

// challenge writes a WWW-Authenticate header (RFC 6750, section 3). Parameters
// come as names and values in turn; empty values are left out.
func (c challenger) challenge(parameters ...string) string {
	var text strings.Builder
	text.WriteString("Bearer realm=")
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
		challenge: c.challenge(),
	}
}

// refusal is an answer with an error code in its challenge.
func (c challenger) refusal(status int, code, description string) answer {
	return answer{
		status: status, code: code, description: description,
		challenge: c.challenge("error", code, "error_description", description),
	}
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
