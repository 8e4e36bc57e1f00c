package exchange

import (
	"errors"
	"net/url"
)

// Token types of RFC 8693, section 3, that have a word of their own in the
// configuration.
const (
	TypeAccessToken = tokenTypePrefix + "access_token"
	TypeIDToken     = tokenTypePrefix + "id_token"
	TypeJWT         = tokenTypePrefix + "jwt"
)

const tokenTypePrefix = "urn:ietf:params:oauth:token-type:" //nolint:gosec // a name, not a credential

// ParseTokenType returns the URI of a token type: access_token, id_token and jwt
// are short for those of RFC 8693, anything else must be an absolute URI without
// a fragment, for some servers want one of their own.
func ParseTokenType(word string) (string, error) {
	switch word {
	case "access_token", "id_token", "jwt":
		return tokenTypePrefix + word, nil
	}
	if !absoluteURI(word) {
		return "", errors.New("a token type is access_token, id_token, jwt or an absolute URI without a fragment")
	}
	return word, nil
}

// absoluteURI tells whether a text is an absolute URI without a fragment, as
// RFC 8693, section 2.1, wants a resource to be.
func absoluteURI(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Fragment != "" || text[len(text)-1] == '#' {
		return false
	}
	return u.Opaque != "" || u.Host != ""
}
