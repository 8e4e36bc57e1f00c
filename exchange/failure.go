package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// retrySoon is what callers are asked to wait for a server that is down.
	retrySoon = 5 * time.Second
	// retryMost bounds the wait that a server asks for.
	retryMost = time.Minute
)

// codeOutcomes are the error codes that mean one thing. All others may be about
// the caller or about the configuration. There are no vendors' own codes here
// and no texts: only what an RFC registers.
var codeOutcomes = map[string]Outcome{
	"invalid_grant": OutcomeSubjectRejected, // RFC 7521, section 4.1.1

	"insufficient_user_authentication": OutcomeStepUp, // RFC 9470
	"interaction_required":             OutcomeStepUp, // OpenID Connect Core, section 3.1.2.6, as the next two
	"login_required":                   OutcomeStepUp,
	"consent_required":                 OutcomePolicyDenied,
	codeAccessDenied:                   OutcomePolicyDenied, // RFC 6749, section 4.1.2.1

	"invalid_client":         OutcomeConfig, // RFC 6749, section 5.2, as the next two
	"unauthorized_client":    OutcomeConfig,
	"unsupported_grant_type": OutcomeConfig,
	"invalid_dpop_proof":     OutcomeConfig, // RFC 9449: no proof is configured, or a fresh one is refused
	"use_dpop_nonce":         OutcomeConfig,

	"server_error":  OutcomeServerDown,
	codeUnavailable: OutcomeServerDown,
	"slow_down":     OutcomeServerDown, // RFC 8628, section 3.5
}

// failed says what it means that the server issued no token. It is called once a
// call, however many wait for it.
func (x *Exchanger) failed(ctx context.Context, l *leg, caller Caller, err error) *Error {
	var (
		refusal *authserver.Refusal
		paused  *authserver.Pause
		judged  *Error
	)
	switch {
	case errors.As(err, &judged):
		return judged
	case errors.As(err, &paused):
		return down(err, paused.RetryAfter)
	case errors.As(err, &refusal):
		return x.refused(ctx, l, caller, refusal)
	case errors.Is(err, authserver.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return newError(OutcomeTimeout, err)
	case errors.Is(err, authserver.ErrBadAnswer):
		return newError(OutcomeBadAnswer, err)
	case errors.Is(err, authserver.ErrUnreachable):
		return down(err, retrySoon)
	case errors.Is(err, token.NoKeys):
		// The issued token could not be verified, which says nothing about it.
		return down(err, retrySoon)
	case errors.Is(err, context.Canceled):
		// Everyone left: nobody is told, and it says nothing about the server.
		return newError(OutcomeCanceled, err)
	default:
		// The request could not even be made.
		return newError(OutcomeConfig, err)
	}
}

func down(cause error, retry time.Duration) *Error {
	failure := newError(OutcomeServerDown, cause)
	failure.RetryAfter = retry
	return failure
}

// refused reads an answer with an error status. The code says more than the
// status: servers send access_denied with 401 and 403 alike.
func (x *Exchanger) refused(ctx context.Context, l *leg, caller Caller, refusal *authserver.Refusal) *Error {
	failure := x.judge(ctx, l, caller, refusal)
	if x.AsGateway() && failure.Status < http.StatusInternalServerError {
		// Nothing of the caller was sent: there is nobody else to blame.
		failure = newError(OutcomeConfig, refusal)
	}
	if x.unprovable(l, caller, failure) {
		failure = newError(OutcomeConfig, fmt.Errorf("%w: %w", refusal, errUnprovable))
		failure.settled = true
	}
	failure.ASStatus, failure.ASCode = refusal.Status, refusal.Code
	if failure.Outcome == OutcomeStepUp {
		failure.ACRValues, failure.MaxAge = refusal.ACRValues, refusal.MaxAge
	}
	return failure
}

var errUnprovable = errors.New("the caller's token is bound to the caller's key, which the gateway cannot prove to hold: " +
	"use grant local, or let the server take bound tokens")

// unprovable tells whether a refusal is most likely about the caller's token being
// bound to a key of the caller's (RFC 9449, section 6; RFC 8705, section 3): servers
// refuse such a token from anybody who does not prove that key, with a code that
// could mean anything. No caller can mend that, unless the server has just taken
// another such token.
func (x *Exchanger) unprovable(l *leg, caller Caller, failure *Error) bool {
	return l.sendsBound(caller) &&
		(failure.Outcome == OutcomePolicyDenied || failure.Outcome == OutcomeSubjectRejected) &&
		!x.state.memory.works(l.boundTarget(), x.config.Now())
}

// sendsBound tells whether a leg sends a caller's token that is bound to a key.
func (l *leg) sendsBound(caller Caller) bool {
	return l.number == 1 && l.Grant.hasSubject() && caller.Token != nil && !caller.Token.Confirmation.IsZero()
}

// boundTarget is what the success memory calls the leg for bound tokens.
func (l *leg) boundTarget() fingerprint { return targetOf(l.target, []string{"bound"}) }

func (x *Exchanger) judge(ctx context.Context, l *leg, caller Caller, refusal *authserver.Refusal) *Error {
	outcome, known := codeOutcomes[refusal.Code]
	switch {
	case wantsPause(refusal):
		failure := down(refusal, pause(refusal.RetryAfter))
		failure.pauses = true
		return failure
	case refusal.Status >= http.StatusInternalServerError, outcome == OutcomeServerDown:
		// What a broken server says about a caller is not worth a 4xx.
		return down(refusal, retrySoon)
	case known:
		return newError(outcome, refusal)
	case refusal.Code != "":
		return x.ambiguous(ctx, l, caller, refusal)
	case refusal.Status == http.StatusUnauthorized, refusal.Status == http.StatusForbidden:
		return newError(OutcomeConfig, refusal)
	default:
		return newError(OutcomeBadAnswer, refusal)
	}
}

func wantsPause(refusal *authserver.Refusal) bool {
	return refusal.Status == http.StatusTooManyRequests ||
		refusal.Code == "temporarily_unavailable" || refusal.Code == "slow_down"
}

// pause is how long callers are asked to wait when the server asks for it.
func pause(asked time.Duration) time.Duration {
	if asked <= 0 {
		return retrySoon
	}
	return min(asked, retryMost)
}

// ambiguous reads a refusal that may be about the caller or about the request as
// it is configured: if the same request has just worked for others, it is about
// the caller.
func (x *Exchanger) ambiguous(ctx context.Context, l *leg, caller Caller, refusal *authserver.Refusal) *Error {
	if x.AsGateway() || !x.state.memory.refused(l.target, subjectOf(caller.Token), x.config.Now()) {
		return newError(OutcomeConfig, refusal)
	}
	if refusal.Code == "invalid_scope" {
		failure := newError(OutcomeInsufficientScope, refusal)
		failure.Scope = slices.Concat(l.Scope, l.ScopeExact)
		return failure
	}
	if refusal.Code == "invalid_request" && x.ended(ctx, caller) {
		return newError(OutcomeSubjectRejected, refusal)
	}
	return newError(OutcomePolicyDenied, refusal)
}

// ended asks whether the caller's session is over: then a new login helps, and a
// 403 would be wrong. Where nobody knows, it is not: a 401 would send a user who
// lacks a right to log in for ever.
func (x *Exchanger) ended(ctx context.Context, caller Caller) bool {
	if x.config.Checker == nil {
		return false
	}
	active, err := x.config.Checker.Active(ctx, caller.Token.Issuer, caller.Raw)
	return err == nil && !active
}
