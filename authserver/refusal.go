package authserver

import (
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
	}
	return refusal
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
