package token

// A Reason says why a credential was not accepted. It is an error, a label of
// bounded cardinality for metrics, and part of the audit trail; errors that wrap
// one may add detail, which never quotes what nobody verified.
type Reason string

// The reasons, from the outermost check to the innermost.
const (
	// Missing: the request carries no credential.
	Missing Reason = "missing"
	// Malformed: the request itself is wrong: two credentials, too long.
	Malformed Reason = "malformed_request"
	// CrossSite: the credential came in a cookie, and nothing shows that the site
	// itself sent the request.
	CrossSite Reason = "cross_site"
	// EarlyData: an unsafe request in TLS early data, which may be a replay.
	EarlyData Reason = "early_data"
	// NotJWT: the credential is not a JWT the gateway can read.
	NotJWT Reason = "not_a_jwt"
	// Encrypted: the credential is a JWE and no decryption is configured.
	Encrypted Reason = "encrypted"
	// Undecryptable: the credential is a JWE that no key of the route's issuers
	// opens.
	Undecryptable Reason = "undecryptable"
	// UnknownIssuer: iss is not one of the issuers of the route.
	UnknownIssuer Reason = "unknown_issuer"
	// WrongType: typ is not that of an access token, or the claims are those of
	// an ID token or of a security event.
	WrongType Reason = "wrong_type"
	// WrongAlgorithm: alg is not one that the issuer may use.
	WrongAlgorithm Reason = "wrong_algorithm"
	// BadClaim: a claim that is needed is absent, or one has a wrong shape.
	BadClaim Reason = "bad_claim"
	// Expired: exp has passed.
	Expired Reason = "expired"
	// TooOld: the token was issued longer ago than the issuer's tokens may be used.
	TooOld Reason = "too_old"
	// NotYetValid: nbf or iat lies in the future.
	NotYetValid Reason = "not_yet_valid"
	// WrongAudience: aud does not name this API.
	WrongAudience Reason = "wrong_audience"
	// Bound: the token is bound to a key (cnf) of which the caller gave no proof.
	Bound Reason = "bound"
	// UnknownKey: no key of the issuer fits.
	UnknownKey Reason = "unknown_key"
	// BadSignature: the signature is not the issuer's.
	BadSignature Reason = "bad_signature"
	// NoKeys: the issuer's keys have not arrived yet, so nothing could be checked.
	NoKeys Reason = "no_keys"
	// Inactive: the issuer was asked about the token and says that it is not good,
	// or not one of its own (RFC 7662, section 2.2).
	Inactive Reason = "inactive"
	// IntrospectionUnavailable: the issuer could not be asked about the token, or
	// gave no answer that can be used.
	IntrospectionUnavailable Reason = "introspection_unavailable"
	// Revoked: the token was good, and is on the list of revocations.
	Revoked Reason = "revoked"
	// RevocationsUnknown: the list of revocations has not been read yet, or too long
	// ago, so nobody knows whether the token is still good.
	RevocationsUnknown Reason = "revocations_unknown"
	// StatusInvalid: the token was good, and its issuer's status list says that it is
	// so no longer, or not at present.
	StatusInvalid Reason = "status_invalid"
	// WrongStatusList: the token names a status list where its issuer has none, or an
	// entry that the list does not have.
	WrongStatusList Reason = "wrong_status_list"
	// StatusUnknown: the status list that the token names could not be had, or is not
	// one that can be believed.
	StatusUnknown Reason = "status_unknown"
)

// Error returns the reason itself, so that it can be wrapped and found with
// errors.As and errors.Is.
func (r Reason) Error() string { return string(r) }

// A Class is what a caller is told.
type Class int

// The classes, one for each kind of answer.
const (
	ClassInvalid     Class = iota // the token is bad: 401 invalid_token
	ClassMissing                  // there is none: 401 without an error code
	ClassMalformed                // the request is wrong: 400 invalid_request
	ClassUnavailable              // it could not be checked: 503
	ClassForbidden                // not from another site: 403 without a challenge
	ClassTooEarly                 // once the handshake is over: 425
)

// Class returns what a caller is told for that reason.
func (r Reason) Class() Class {
	switch r {
	case Missing:
		return ClassMissing
	case Malformed:
		return ClassMalformed
	case CrossSite:
		return ClassForbidden
	case EarlyData:
		return ClassTooEarly
	case NoKeys, IntrospectionUnavailable, RevocationsUnknown, StatusUnknown:
		return ClassUnavailable
	default:
		return ClassInvalid
	}
}
