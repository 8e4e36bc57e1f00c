package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// maxCode bounds an OAuth error code. The registered ones have up to 35 letters.
const maxCode = 64

// A Refusal is an answer of a token endpoint with a status of 400 and above. It
// holds nothing of the server's free text: a description may repeat the token
// that was sent.
type Refusal struct { //nolint:errname // the word of what it is
	// Status is the HTTP status.
	Status int
	// Code is the error code (RFC 6749, section 5.2), "" if the body has none or
	// one with other characters than codes are made of.
	Code string
	// RetryAfter is how long the server asks to be left alone, 0 if it does not.
	RetryAfter time.Duration
	// ACRValues and MaxAge are what a newer or stronger login must be like, as the
	// members acr_values and max_age say (RFC 9470, section 3), "" where they say
	// nothing that could stand in a challenge.
	ACRValues, MaxAge string
}

// Error names status and code.
func (r *Refusal) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("authorization server answered %d without an OAuth error", r.Status)
	}
	return fmt.Sprintf("authorization server answered %d, error %s", r.Status, r.Code)
}

func newRefusal(status int, header http.Header, body []byte, now time.Time) *Refusal {
	refusal := &Refusal{Status: status, RetryAfter: retryAfter(header, now)}
	// Whatever the media type says: a body with a code says more than a status.
	if members, err := jose.ParseObject(body); err == nil {
		text, _ := members["error"].(string)
		refusal.Code = errorCode(text)
		refusal.ACRValues, refusal.MaxAge = loginWanted(members)
	}
	return refusal
}

// maxACR bounds what a server may add to a challenge.
const maxACR = 512

func loginWanted(members map[string]any) (acrValues, maxAge string) {
	if text, ok := members["acr_values"].(string); ok && len(text) <= maxACR && plainWords(text) {
		acrValues = text
	}
	switch age := members["max_age"].(type) {
	case json.Number:
		maxAge = age.String()
	case string:
		maxAge = age
	}
	if _, err := strconv.ParseUint(maxAge, 10, 31); err != nil {
		maxAge = ""
	}
	return acrValues, maxAge
}

// plainWords tells whether a text is visible ASCII and blanks, without what would
// end a quoted string.
func plainWords(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// errorCode returns the code if it is made of the characters that registered
// codes are made of, else "": it goes into logs and metrics.
func errorCode(text string) string {
	if len(text) > maxCode {
		return ""
	}
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return ""
		}
	}
	return text
}

// retryAfter reads the header in both its forms (RFC 9110, section 10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
