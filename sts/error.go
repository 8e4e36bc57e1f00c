package sts

import (
	"net/http"
	"time"
)

// An Outcome says what came of a request: a label of bounded cardinality for
// metrics, and the rule in the audit trail.
type Outcome string

// OutcomeOK is that of a request that was granted. Each refusal has one answer, with
// a fixed text; see answers.
const OutcomeOK Outcome = "ok"

// Refusals for the request itself.
const (
	OutcomeMalformed Outcome = "malformed"
	OutcomeInURL     Outcome = "parameters_in_url"
	OutcomeRepeated  Outcome = "repeated_parameter"
	OutcomeMissing   Outcome = "missing_parameter"
	OutcomeMethod    Outcome = "wrong_method"
	OutcomeEarly     Outcome = "early_data"
)

// Refusals for the client.
const (
	OutcomeTwoMethods  Outcome = "two_methods"
	OutcomeClient      Outcome = "client_failed"
	OutcomeGrant       Outcome = "unknown_grant"
	OutcomeGrantDenied Outcome = "grant_denied"
	OutcomeForeign     Outcome = "foreign_token"
)

// Refusals for the tokens that it sent.
const (
	OutcomeType        Outcome = "type_denied"
	OutcomeSubject     Outcome = "subject_refused"
	OutcomeActor       Outcome = "actor_refused"
	OutcomeActorDenied Outcome = "actor_denied"
	OutcomeUnproved    Outcome = "unproved"
)

// Refusals for what it asked for.
const (
	OutcomeRequestedType Outcome = "requested_type"
	OutcomeTarget        Outcome = "target_denied"
	OutcomeScope         Outcome = "scope_denied"
	OutcomeDetails       Outcome = "authorization_details"
)

// Refusals for its DPoP proof.
const (
	OutcomeProof Outcome = "bad_proof"
	OutcomeNonce Outcome = "nonce_needed"
)

// Refusals that are not its fault, or not its alone.
const (
	OutcomeTooMany     Outcome = "too_many"
	OutcomeUnavailable Outcome = "unavailable"
	OutcomeGone        Outcome = "canceled"
)

// Error codes of RFC 6749, section 5.2, and its neighbours.
const (
	codeInvalidRequest = "invalid_request"
	codeUnauthorized   = "unauthorized_client"
	codeUnavailable    = "temporarily_unavailable"
)

// An outcomeAnswer is what the client is told.
type outcomeAnswer struct {
	status      int
	code        string
	description string
}

// answers has the answer to each refusal. A bad subject or actor token, and what
// policy forbids, is invalid_request (RFC 8693, section 2.2.2), a target that the
// client may not have invalid_target. The texts say what kind of thing is wrong and
// nothing of why: that stands in the audit trail.
var answers = map[Outcome]outcomeAnswer{
	OutcomeMalformed:     {http.StatusBadRequest, codeInvalidRequest, "The body is not the form that this endpoint reads."},
	OutcomeInURL:         {http.StatusBadRequest, codeInvalidRequest, "Parameters belong in the body, not in the URL."},
	OutcomeRepeated:      {http.StatusBadRequest, codeInvalidRequest, "A parameter is repeated that may stand once."},
	OutcomeMissing:       {http.StatusBadRequest, codeInvalidRequest, "A parameter is missing."},
	OutcomeMethod:        {http.StatusMethodNotAllowed, codeInvalidRequest, "This endpoint answers POST only."},
	OutcomeEarly:         {http.StatusTooEarly, codeInvalidRequest, "The request came before the TLS handshake was over."},
	OutcomeTwoMethods:    {http.StatusBadRequest, codeInvalidRequest, "The client proves itself in more than one way."},
	OutcomeClient:        {http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not prove itself."},
	OutcomeGrant:         {http.StatusBadRequest, "unsupported_grant_type", "This grant type is not offered."},
	OutcomeGrantDenied:   {http.StatusBadRequest, codeUnauthorized, "The client may not use this grant type."},
	OutcomeForeign:       {http.StatusBadRequest, codeUnauthorized, "The token was issued to another client."},
	OutcomeType:          {http.StatusBadRequest, codeInvalidRequest, "The client may not send tokens of this type."},
	OutcomeSubject:       {http.StatusBadRequest, codeInvalidRequest, "The subject token is not acceptable."},
	OutcomeActor:         {http.StatusBadRequest, codeInvalidRequest, "The actor token is not acceptable."},
	OutcomeActorDenied:   {http.StatusBadRequest, codeInvalidRequest, "This actor may not act for the subject."},
	OutcomeUnproved:      {http.StatusBadRequest, codeInvalidRequest, "A token is bound to a key that the client has not proved to hold."},
	OutcomeRequestedType: {http.StatusBadRequest, codeInvalidRequest, "The requested token type is not offered."},
	OutcomeTarget:        {http.StatusBadRequest, "invalid_target", "Ask for one target that the client may have."},
	OutcomeScope:         {http.StatusBadRequest, "invalid_scope", "Nothing of the requested scope can be granted."},
	OutcomeDetails:       {http.StatusBadRequest, "invalid_authorization_details", "Authorization details are not offered."},
	OutcomeProof:         {http.StatusBadRequest, "invalid_dpop_proof", "The DPoP proof is not good for this request."},
	OutcomeNonce:         {http.StatusBadRequest, "use_dpop_nonce", "The DPoP proof needs the nonce in this answer's header."},
	OutcomeTooMany:       {http.StatusTooManyRequests, codeUnavailable, "There are too many requests at the moment."},
	OutcomeUnavailable:   {http.StatusServiceUnavailable, codeUnavailable, "The request cannot be decided at the moment."},
	OutcomeGone:          {http.StatusServiceUnavailable, codeUnavailable, "The request cannot be decided at the moment."},
}

// retryAfter is what a client is told to wait where waiting helps.
const retryAfter = time.Second

// An Error is a refusal. Its public part is fixed by its outcome; Error() is for the
// operator and never holds a token, a secret or what nobody verified.
type Error struct {
	Outcome Outcome
	// Nonce is what the answer offers in its DPoP-Nonce header, "" for none.
	Nonce string

	cause error
}

// Refuse makes a refusal; see Outcome.
func Refuse(outcome Outcome, cause error) *Error { return refuse(outcome, cause) }

func refuse(outcome Outcome, cause error) *Error { return &Error{Outcome: outcome, cause: cause} }

// Error says why, for the audit trail.
func (e *Error) Error() string {
	if e.cause == nil {
		return string(e.Outcome)
	}
	return string(e.Outcome) + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Status is the status of the answer.
func (e *Error) Status() int { return answers[e.Outcome].status }

// Code is the OAuth error code of the answer.
func (e *Error) Code() string { return answers[e.Outcome].code }

// Description is the fixed text of the answer.
func (e *Error) Description() string { return answers[e.Outcome].description }

// RetryAfter is how long the client should wait, 0 where waiting does not help.
func (e *Error) RetryAfter() time.Duration {
	switch e.Outcome {
	case OutcomeTooMany, OutcomeUnavailable, OutcomeGone:
		return retryAfter
	default:
		return 0
	}
}
