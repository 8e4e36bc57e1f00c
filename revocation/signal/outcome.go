package signal

import (
	"net/http"
	"time"
)

// An Outcome says what came of a signal: a label of bounded cardinality for metrics,
// and the rule in the audit trail.
type Outcome string

// Outcomes of signals that were taken.
const (
	// OutcomeRevoked: something is on the list of revocations now.
	OutcomeRevoked Outcome = "revoked"
	// OutcomeNoted: it is a good one, of a kind that revokes nothing.
	OutcomeNoted Outcome = "noted"
	// OutcomeUnmatched: it should revoke something, and names it in a way that no token
	// can be told by.
	OutcomeUnmatched Outcome = "unmatched"
	// OutcomeRepeated: it came before, and is acknowledged once more.
	OutcomeRepeated Outcome = "repeated"
)

// Refusals for the request, and for what it holds.
const (
	OutcomeMethod    Outcome = "wrong_method"
	OutcomeEarly     Outcome = "early_data"
	OutcomeMalformed Outcome = "malformed"
	OutcomeType      Outcome = "wrong_type"
	OutcomeIssuer    Outcome = "unknown_issuer"
	OutcomeAudience  Outcome = "wrong_audience"
	OutcomeTime      Outcome = "out_of_time"
	OutcomeKey       Outcome = "unknown_key"
	OutcomeSignature Outcome = "bad_signature"
	OutcomeForeign   Outcome = "foreign_subject"
	OutcomeReplayed  Outcome = "replayed"
)

// Refusals that are not the sender's fault: it should send the same once more.
const (
	OutcomeNoKeys      Outcome = "no_keys"
	OutcomeUnavailable Outcome = "unavailable"
	OutcomeGone        Outcome = "canceled"
)

// Error codes of RFC 8935, section 2.4, and of OpenID Connect Back-Channel Logout 1.0,
// section 2.8, which has invalid_request alone.
const (
	codeRequest     = "invalid_request"
	codeUnavailable = "temporarily_unavailable"
)

// An outcomeAnswer is what the sender is told.
type outcomeAnswer struct {
	status      int
	code        string
	description string
}

// answers has the answer to each refusal. The texts say what kind of thing is wrong
// and nothing of why: that stands in the audit trail.
var answers = map[Outcome]outcomeAnswer{
	OutcomeMethod:      {http.StatusMethodNotAllowed, codeRequest, "Signals are sent with POST."},
	OutcomeEarly:       {http.StatusTooEarly, codeRequest, "The signal came before the TLS handshake was over."},
	OutcomeMalformed:   {http.StatusBadRequest, codeRequest, "The body is not a signal that this endpoint reads."},
	OutcomeType:        {http.StatusBadRequest, codeRequest, "The token is of another kind."},
	OutcomeIssuer:      {http.StatusBadRequest, "invalid_issuer", "The token's issuer is not one that is listened to here."},
	OutcomeAudience:    {http.StatusBadRequest, "invalid_audience", "The token is for somebody else."},
	OutcomeTime:        {http.StatusBadRequest, codeRequest, "The token is too old, or from the future."},
	OutcomeKey:         {http.StatusBadRequest, "invalid_key", "The token is signed with a key that its issuer does not publish."},
	OutcomeSignature:   {http.StatusBadRequest, "authentication_failed", "The token's signature is not its issuer's."},
	OutcomeForeign:     {http.StatusBadRequest, "access_denied", "The sender may not speak for this subject."},
	OutcomeReplayed:    {http.StatusBadRequest, codeRequest, "The token was used before."},
	OutcomeNoKeys:      {http.StatusServiceUnavailable, codeUnavailable, "The signal cannot be taken at the moment."},
	OutcomeUnavailable: {http.StatusServiceUnavailable, codeUnavailable, "The signal cannot be taken at the moment."},
	OutcomeGone:        {http.StatusServiceUnavailable, codeUnavailable, "The signal cannot be taken at the moment."},
}

// retryAfter is what a sender is told to wait where waiting helps.
const retryAfter = 5 * time.Second

// A Refusal is the error of a signal that was not taken. Its public part is fixed by
// its outcome; Error() is for the operator and never holds what nobody verified.
type Refusal struct { //nolint:errname // the word of what it is
	Outcome Outcome

	cause error
}

// Refuse makes a refusal.
func Refuse(outcome Outcome, cause error) *Refusal { return &Refusal{Outcome: outcome, cause: cause} }

// Error says why, for the audit trail.
func (e *Refusal) Error() string {
	if e.cause == nil {
		return string(e.Outcome)
	}
	return string(e.Outcome) + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.cause }

// Status is the status of the answer.
func (e *Refusal) Status() int { return answers[e.Outcome].status }

// Code is the error code of the answer to a transmitter (RFC 8935, section 2.4).
func (e *Refusal) Code() string { return answers[e.Outcome].code }

// LogoutCode is the error code of the answer to a provider that logs out. Back-Channel
// Logout knows one for all that is wrong with the request.
func (e *Refusal) LogoutCode() string {
	if e.Status() < http.StatusInternalServerError {
		return codeRequest
	}
	return e.Code()
}

// Description is the fixed text of the answer.
func (e *Refusal) Description() string { return answers[e.Outcome].description }

// RetryAfter is how long the sender should wait before it sends the same once more, 0
// where that does not help.
func (e *Refusal) RetryAfter() time.Duration {
	if e.Status() == http.StatusServiceUnavailable {
		return retryAfter
	}
	return 0
}
