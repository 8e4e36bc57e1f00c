package proof

// A Reason says why a presentation was not accepted. It is an error, a label of
// bounded cardinality for metrics, and part of the audit trail; errors that wrap
// one may add detail, which never quotes what nobody verified.
type Reason string

// The reasons, from the outermost check to the innermost.
const (
	// PlainBearer: a token bound to a key for DPoP came under another scheme
	// (RFC 9449, section 7.2).
	PlainBearer Reason = "bound_as_bearer"
	// NotBound: the scheme is DPoP, but the token is bound to no key.
	NotBound Reason = "not_bound"
	// NotConstrained: the route accepts sender-constrained tokens alone.
	NotConstrained Reason = "not_sender_constrained"
	// NoCertificate: the token is bound to a certificate, and there is none.
	NoCertificate Reason = "no_certificate"
	// WrongCertificate: the token is bound to another certificate.
	WrongCertificate Reason = "wrong_certificate"
	// MissingProof: there is no DPoP header.
	MissingProof Reason = "missing_proof"
	// BadProof: the proof is not one, or not for this request.
	BadProof Reason = "bad_proof"
	// NonceNeeded: the proof holds no nonce of ours that is still good (RFC 9449,
	// section 9).
	NonceNeeded Reason = "nonce_needed"
	// WrongKey: the proof is signed with another key than the token's.
	WrongKey Reason = "wrong_key"
	// Replayed: the proof was used before.
	Replayed Reason = "replayed"
	// TooMany: there are more proofs alive than can be remembered.
	TooMany Reason = "too_many_proofs"
	// Unchecked: whether the proof was used before could not be found out.
	Unchecked Reason = "unchecked"
)

// Error returns the reason itself, so that it can be wrapped and found with
// errors.As and errors.Is.
func (r Reason) Error() string { return string(r) }

// A Class is what a caller is told.
type Class int

// The classes, one for each kind of answer.
const (
	ClassInvalidToken Class = iota // 401 invalid_token: the token is not the presenter's
	ClassInvalidProof              // 401 invalid_dpop_proof
	ClassUseNonce                  // 401 use_dpop_nonce, with a DPoP-Nonce header
	ClassTooMany                   // 429: the caller may come back
	ClassUnavailable               // 503: it could not be checked
)

// Class returns what a caller is told for that reason (RFC 9449, sections 7.1 and
// 9).
func (r Reason) Class() Class {
	switch r {
	case MissingProof, BadProof, Replayed:
		return ClassInvalidProof
	case NonceNeeded:
		return ClassUseNonce
	case TooMany:
		return ClassTooMany
	case Unchecked:
		return ClassUnavailable
	default:
		return ClassInvalidToken
	}
}
