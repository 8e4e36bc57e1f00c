package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// maxLife bounds expires_in. Nothing is kept that long; the bound keeps a number
// with three hundred digits from overflowing a duration.
const maxLife = 10 * 365 * 24 * time.Hour

// A TokenResponse is what a token endpoint answered (RFC 6749, section 5.1;
// RFC 8693, section 2.2.1). What the members mean for the request is for the
// caller to judge. A refresh token is not read: the gateway keeps none.
type TokenResponse struct {
	// AccessToken is the issued token, never empty.
	AccessToken Secret
	// TokenType says how the token is used, never empty. Its letters' case means
	// nothing.
	TokenType string
	// IssuedTokenType is the URI of what was issued, "" if absent.
	IssuedTokenType string
	// Scope is the scope granted. HasScope tells whether the server named one at
	// all: absent means what was asked for, empty means nothing.
	Scope    []string
	HasScope bool
	// ExpiresIn is the token's life from SentAt on; it may be zero or negative if
	// the server says so. HasExpiresIn tells whether the server named one.
	ExpiresIn    time.Duration
	HasExpiresIn bool
	// SentAt is when the request was sent, so that no time on the wire is
	// mistaken for life of the token.
	SentAt time.Time
	// Shown is the x5t#S256 of the certificate that the client showed when it asked,
	// "" if it has none or the server did not want to see it.
	Shown string
}

// readAnswer turns a token endpoint's answer into a response, a *Refusal or an
// error that wraps ErrBadAnswer.
func readAnswer(answer *Answer, now time.Time) (*TokenResponse, error) {
	switch {
	case answer.Status == http.StatusOK:
		response, err := parseTokenResponse(answer.Body, answer.SentAt)
		if err != nil {
			return nil, err
		}
		response.Shown = answer.shown
		return response, nil
	case answer.Status >= 400:
		return nil, answer.Refusal(now)
	default:
		// Redirects among them: they are never followed.
		return nil, fmt.Errorf("%w: status %d", ErrBadAnswer, answer.Status)
	}
}

// parseTokenResponse reads the body of a 200. The media type is not looked at:
// what parses as strict JSON with these members is what was asked for.
func parseTokenResponse(body []byte, sent time.Time) (*TokenResponse, error) {
	members, err := jose.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	// An error code beside a 200 is neither a grant nor a refusal.
	if members["error"] != nil {
		return nil, fmt.Errorf("%w: an error with status 200", ErrBadAnswer)
	}
	var accessToken, scope string
	response := &TokenResponse{SentAt: sent}
	fields := []struct {
		name     string
		to       *string
		required bool
	}{
		{"access_token", &accessToken, true},
		{"token_type", &response.TokenType, true},
		{"issued_token_type", &response.IssuedTokenType, false},
		{"scope", &scope, false},
	}
	for _, field := range fields {
		if err := readText(members, field.name, field.to, field.required); err != nil {
			return nil, err
		}
	}
	response.AccessToken = NewSecret(accessToken)
	if members["scope"] != nil {
		response.Scope, response.HasScope = splitScope(scope), true
	}
	if err := response.readExpiry(members["expires_in"]); err != nil {
		return nil, err
	}
	return response, nil
}

func readText(members map[string]any, name string, to *string, required bool) error {
	value := members[name]
	text, ok := value.(string)
	switch {
	case value != nil && !ok:
		return fmt.Errorf("%w: %s is not text", ErrBadAnswer, name)
	case required && text == "":
		return fmt.Errorf("%w: no %s", ErrBadAnswer, name)
	}
	*to = text
	return nil
}

// splitScope splits at the one separator there is (RFC 6749, section 3.3): a
// scope with another white space in it is a scope that nobody asked for.
func splitScope(text string) []string {
	scopes := []string{}
	for scope := range strings.SplitSeq(text, " ") {
		if scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// readExpiry reads expires_in: a number of seconds or, as some servers write it,
// a text of digits.
func (r *TokenResponse) readExpiry(value any) error {
	text := ""
	switch value := value.(type) {
	case nil:
		return nil
	case json.Number:
		text = value.String()
	case string:
		if value != "" && strings.Trim(value, "0123456789") == "" {
			text = value
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%w: expires_in is not a number of seconds", ErrBadAnswer)
	}
	life := min(max(seconds, -1), maxLife.Seconds())
	r.ExpiresIn, r.HasExpiresIn = time.Duration(life*float64(time.Second)), true
	return nil
}
