package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// An Outcome is how an exchange ended: a label of bounded cardinality for
// metrics and the audit trail.
type Outcome string

// The outcomes.
const (
	// OutcomeOK: the server issued a token.
	OutcomeOK Outcome = "ok"
	// OutcomeHit: a token issued earlier was used again.
	OutcomeHit Outcome = "hit"
	// OutcomeRefresh: a token issued earlier was used again, and the next one is
	// being asked for ahead of time.
	OutcomeRefresh Outcome = "refresh"
	// OutcomeCanceled: the caller left before there was an answer.
	OutcomeCanceled Outcome = "canceled"
	// OutcomeForeignIssuer: the caller's token may not be sent to this server.
	OutcomeForeignIssuer Outcome = "foreign_issuer"
	// OutcomeInsufficientScope: the caller lacks the scopes that the upstream needs.
	OutcomeInsufficientScope Outcome = "insufficient_scope"
	// OutcomeSubjectRejected: the caller's token is no longer good.
	OutcomeSubjectRejected Outcome = "subject_rejected"
	// OutcomeStepUp: the server wants the user to log in again, or more strongly.
	OutcomeStepUp Outcome = "step_up"
	// OutcomePolicyDenied: the server knows the caller and says no.
	OutcomePolicyDenied Outcome = "policy_denied"
	// OutcomeActorDenied: the caller's token does not let the gateway act for it.
	OutcomeActorDenied Outcome = "actor_denied"
	// OutcomeChainTooLong: too many actors stand between the caller and its user.
	OutcomeChainTooLong Outcome = "chain_too_long"
	// OutcomeUpstreamRefused: the upstream refuses the token that was made for it.
	OutcomeUpstreamRefused Outcome = "upstream_refused"
	// OutcomeUpstreamNonce: the upstream wants a newer nonce in the proof of a bound
	// token, and the request cannot be sent again. The token is as good as before.
	OutcomeUpstreamNonce Outcome = "upstream_nonce"
	// OutcomeConfig: the server refuses the gateway itself, or the request as it
	// is configured.
	OutcomeConfig Outcome = "config"
	// OutcomeBadAnswer: the server's answer cannot be used.
	OutcomeBadAnswer Outcome = "bad_answer"
	// OutcomeServerDown: the server cannot be reached, is broken or wants a pause.
	OutcomeServerDown Outcome = "as_down"
	// OutcomeTimeout: the server did not answer in time.
	OutcomeTimeout Outcome = "timeout"
	// OutcomeNoKey: the gateway has no key to sign with.
	OutcomeNoKey Outcome = "no_key"
	// OutcomeNoSubject: the caller's token names no subject.
	OutcomeNoSubject Outcome = "no_subject"
	// OutcomeTooLong: what the caller's token says would make a token too long for a
	// header.
	OutcomeTooLong Outcome = "too_long"
	// OutcomeFault: a fault of the gateway itself.
	OutcomeFault Outcome = "fault"
)

// OutcomeOf names how a call of Exchange ended.
func OutcomeOf(issued *Issued, err error) Outcome {
	if err == nil {
		switch {
		case issued.Renewing:
			return OutcomeRefresh
		case issued.Cached:
			return OutcomeHit
		default:
			return OutcomeOK
		}
	}
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused.Outcome
	case errors.Is(err, context.DeadlineExceeded):
		return OutcomeTimeout
	default:
		return OutcomeCanceled
	}
}

// An Error is an exchange without a token, and what the caller is told: a 4xx
// only where the caller can do something about it. Its text and what it wraps
// are for the operator.
type Error struct {
	// Outcome is the kind of failure.
	Outcome Outcome
	// Status is the HTTP status for the caller.
	Status int
	// Code is the error code for the caller. invalid_token, insufficient_scope
	// and insufficient_user_authentication belong into the challenge as well
	// (RFC 6750, section 3.1; RFC 9470); the others into the body alone.
	Code string
	// Public is a fixed sentence for the caller.
	Public string
	// RetryAfter is for the header of that name, 0: none.
	RetryAfter time.Duration
	// Scope is what would be needed, for the challenge of insufficient_scope.
	Scope []string
	// ASStatus and ASCode are what the authorization server answered, 0
	// and "" if it did not; the code is made of harmless characters. They are not
	// for the caller.
	ASStatus int
	ASCode   string
	// ACRValues and MaxAge are what a login would have to be like, as far as the
	// server says so, for the challenge (RFC 9470, section 3).
	ACRValues, MaxAge string
	// Leg is which of several requests failed, counted from one; 0 if there is
	// only one.
	Leg int

	cause error
	// settled tells that to ask again now would be in vain, although the refusal is
	// nothing that the caller is told: a later leg refused what the legs before it had
	// just got anew, or a server refuses tokens that are bound to the caller's key.
	settled bool
	// pauses tells that the server asked to be left alone for RetryAfter.
	pauses bool
}

// Error names the outcome and its cause. It holds no token and no secret.
func (e *Error) Error() string {
	text := "exchanging token"
	if e.Leg > 0 {
		text += fmt.Sprintf(", leg %d", e.Leg)
	}
	if e.cause == nil {
		return fmt.Sprintf("%s: %s", text, e.Outcome)
	}
	return fmt.Sprintf("%s: %s: %s", text, e.Outcome, e.cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// A reply is what callers are told for an outcome.
type reply struct {
	status int
	code   string
	public string
}

// Codes that several outcomes have (RFC 6749, section 4.1.2.1).
const (
	codeUnavailable  = "temporarily_unavailable"
	codeAccessDenied = "access_denied"
)

var replies = map[Outcome]reply{
	OutcomeCanceled:          {http.StatusServiceUnavailable, codeUnavailable, "The exchange was given up."},
	OutcomeForeignIssuer:     {http.StatusForbidden, codeAccessDenied, "The token's issuer is not one that this resource serves."},
	OutcomeInsufficientScope: {http.StatusForbidden, "insufficient_scope", "The token lacks a scope that this resource needs."},
	OutcomeSubjectRejected:   {http.StatusUnauthorized, "invalid_token", "The token is no longer accepted."},
	OutcomeStepUp:            {http.StatusUnauthorized, "insufficient_user_authentication", "A newer or stronger login is needed."},
	OutcomePolicyDenied:      {http.StatusForbidden, codeAccessDenied, "The authorization server does not permit this access."},
	OutcomeActorDenied:       {http.StatusForbidden, codeAccessDenied, "The token does not let the gateway act on its behalf."},
	OutcomeChainTooLong:      {http.StatusForbidden, codeAccessDenied, "The token names too many actors."},
	OutcomeUpstreamRefused:   {http.StatusBadGateway, "server_error", "The service behind the gateway refused the gateway's token."},
	OutcomeUpstreamNonce:     {http.StatusServiceUnavailable, codeUnavailable, "The service behind the gateway asked for a newer proof: send the request again."},
	OutcomeConfig:            {http.StatusBadGateway, "exchange_misconfigured", "The gateway could not get access on the caller's behalf."},
	OutcomeBadAnswer:         {http.StatusBadGateway, "server_error", "The authorization server gave an answer that cannot be used."},
	OutcomeServerDown:        {http.StatusServiceUnavailable, codeUnavailable, "The authorization server is not available."},
	OutcomeTimeout:           {http.StatusGatewayTimeout, codeUnavailable, "The authorization server did not answer in time."},
	OutcomeNoKey:             {http.StatusServiceUnavailable, codeUnavailable, "The gateway cannot sign a token at present."},
	OutcomeNoSubject:         {http.StatusForbidden, codeAccessDenied, "The token names no subject."},
	OutcomeTooLong:           {http.StatusForbidden, codeAccessDenied, "The token says too much for this resource."},
	OutcomeFault:             {http.StatusInternalServerError, "server_error", "The gateway has a fault."},
}

// newError makes the error of an outcome.
func newError(outcome Outcome, cause error) *Error {
	told := replies[outcome]
	return &Error{Outcome: outcome, Status: told.status, Code: told.code, Public: told.public, cause: cause}
}
