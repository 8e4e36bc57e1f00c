package introspection

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// retrySoon is what callers are asked to wait for a server that cannot be asked.
const retrySoon = 5 * time.Second

// An Error is an introspection that found no good token.
type Error struct {
	// Reason is token.IntrospectionUnavailable or what is wrong with the token:
	// token.Inactive, token.UnknownIssuer where the server answers for another
	// issuer, token.BadClaim.
	Reason token.Reason
	// RetryAfter is for the header of that name, 0: none.
	RetryAfter time.Duration

	cause error
}

// Error names the reason and its cause. It holds no token and no secret.
func (e *Error) Error() string { return fmt.Sprintf("introspecting token: %s: %s", e.Reason, e.cause) }

// Unwrap returns the reason and the cause.
func (e *Error) Unwrap() []error { return []error{e.Reason, e.cause} }

// refuses tells whether the token is no good, and not just unknown.
func (e *Error) refuses() bool { return e.Reason != token.IntrospectionUnavailable }

func newError(reason token.Reason, cause error) *Error {
	failure := &Error{Reason: reason, cause: cause}
	if reason == token.IntrospectionUnavailable {
		failure.RetryAfter = retrySoon
	}
	return failure
}

// failed says what it means that no answer came: the token may be fine.
func (*Introspector) failed(err error) *Error {
	failure := newError(token.IntrospectionUnavailable, err)
	if pause, ok := errors.AsType[*authserver.Pause](err); ok {
		failure.RetryAfter = pause.RetryAfter
	}
	return failure
}
