package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// retryKeys is when a caller should come again while an issuer's keys are
// missing.
const retryKeys = 5 * time.Second

// statusClientGone is what Caddy answers when nobody waits any more.
const statusClientGone = 499

func clientGone() answer {
	return answer{status: statusClientGone, description: "The client closed the request."}
}

// refusal says what a caller is told, and no more: which check failed is for the
// audit trail.
func (h *TokenAuth) refusal(who *caller, err error) answer {
	if reason, ok := errors.AsType[proof.Reason](err); ok {
		return h.unproved(who, reason)
	}
	reason, ok := errors.AsType[token.Reason](err)
	if !ok {
		return clientGone()
	}
	switch reason.Class() {
	case token.ClassMissing:
		return who.speak().unauthenticated()
	case token.ClassMalformed:
		return who.speak().refusal(http.StatusBadRequest, "invalid_request", "The request's credentials are malformed.")
	case token.ClassForbidden:
		return answer{
			status: http.StatusForbidden, code: "access_denied",
			description: "Another site may not send this request.",
		}
	case token.ClassTooEarly:
		return answer{
			status:      http.StatusTooEarly,
			description: "This request must wait until the TLS handshake is complete.",
		}
	case token.ClassUnavailable:
		return unavailable(err)
	default:
		return who.speak().invalidToken()
	}
}

func unavailable(err error) answer {
	reply := answer{
		status: http.StatusServiceUnavailable, retryAfter: retryKeys,
		description: "The token cannot be checked at present.",
	}
	if failed, ok := errors.AsType[*introspection.Error](err); ok {
		reply.retryAfter = cmp.Or(failed.RetryAfter, reply.retryAfter)
	}
	return reply
}

// retryMarks is when a caller should come again whose proof cannot be remembered
// for want of room.
const retryMarks = time.Second

// unproved is the answer to a caller whose token is good and who did not show
// that it is its own (RFC 9449, sections 7.1 and 9; RFC 8705, section 3).
func (h *TokenAuth) unproved(who *caller, reason proof.Reason) answer {
	speak := who.speak()
	switch reason.Class() {
	case proof.ClassInvalidProof:
		reply := speak.refusal(http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof is missing or not valid for this request.")
		// So that the next proof need not come a third time for want of it.
		reply.nonce = h.sender.DPoP().Nonce()
		return reply
	case proof.ClassUseNonce:
		reply := speak.refusal(http.StatusUnauthorized, "use_dpop_nonce", "The DPoP proof needs the nonce of the DPoP-Nonce header.")
		reply.nonce = h.sender.DPoP().Nonce()
		return reply
	case proof.ClassTooMany:
		return answer{
			status: http.StatusTooManyRequests, retryAfter: retryMarks,
			description: "Too many DPoP proofs are in use.",
		}
	case proof.ClassUnavailable:
		return unavailable(reason)
	default:
		return speak.invalidToken()
	}
}
