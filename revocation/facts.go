package revocation

import (
	"encoding/base64"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Facts are what the list can know a token by.
type Facts struct {
	// Issuer, ID, Subject, Session and Client are iss, jti, sub, sid and client_id as
	// the token has them, "" if absent.
	Issuer, ID, Subject, Session, Client string
	// Sub is the claim sub, "" if absent. It differs from Subject where the issuer's
	// subjects are read from another claim; whoever revokes may know only this one.
	Sub string
	// KeyID is the kid that signed it, "" for an opaque token.
	KeyID string
	// Digest is that of its text.
	Digest token.Digest
	// IssuedAt is iat, zero if absent.
	IssuedAt time.Time
}

// FactsOf reads a verified token.
func FactsOf(t *token.Token) Facts {
	session, _ := t.Claims.Text("sid")
	sub, _ := t.Claims.Text("sub")
	return Facts{
		Issuer: t.Issuer, ID: t.ID, Subject: t.Subject, Session: session, Client: t.Client, Sub: sub,
		KeyID: t.KeyID, Digest: t.Digest, IssuedAt: t.IssuedAt,
	}
}

// DigestValue is what Event.Value is for a token of that digest.
func DigestValue(digest token.Digest) string { return base64.RawURLEncoding.EncodeToString(digest[:]) }

// value is what an event of that kind would have to name.
func (f *Facts) value(kind Kind) string {
	switch kind {
	case KindToken:
		return DigestValue(f.Digest)
	case KindID:
		return f.ID
	case KindSubject:
		return f.Subject
	case KindSession:
		return f.Session
	case KindClient:
		return f.Client
	case KindKey:
		return f.KeyID
	default:
		return ""
	}
}
