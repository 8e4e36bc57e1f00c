package sts

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// An Event is what the audit trail has of one request. Everything in it was
// verified or is the configuration's own, but for what was asked for, which is the
// word of a client that proved itself.
type Event struct {
	// Client asked, "" if it did not prove itself.
	Client string
	// Grant is the grant type.
	Grant string
	// SubjectIssuer and SubjectHash say whose token was exchanged.
	SubjectIssuer, SubjectHash string
	// Subject is that token.
	Subject *token.Token
	// Actor is the current actor of the new token, by its sub.
	Actor string
	// Target is the audience that was asked for, Asked and Granted the scopes.
	Target         string
	Asked, Granted []string
	// IssuedID and KeyID are the jti and the kid of the new token, or the jti of the
	// one that was asked about or revoked.
	IssuedID, KeyID string
}

// subjectHashBytes is enough to follow one subject through the trail.
const subjectHashBytes = 12

// ofSubject notes whose token was exchanged. A hash follows a user through the trail
// without naming anybody.
func (e *Event) ofSubject(subject *token.Token) {
	sum := sha256.Sum256([]byte(subject.Issuer + "#" + subject.Subject)) // no issuer has a #
	e.Subject = subject
	e.SubjectIssuer, e.SubjectHash = subject.Issuer, hex.EncodeToString(sum[:subjectHashBytes])
}
