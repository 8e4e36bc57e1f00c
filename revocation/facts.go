package revocation

import (
	"encoding/base64"
	"time"
	"unsafe"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Facts are what the list can know a token by.
type Facts struct {
	// Issuer, ID, Subject, Session and Client are iss, jti, sub, sid and client_id as
	// the token has them, "" if absent.
	Issuer, ID, Subject, Session, Client string
	// Sub is the claim sub, "" if absent. It differs from Subject where the issuer's
	// subjects are read from another claim, of which whoever revokes may know nothing.
	Sub string
	// KeyID is the kid that signed it, "" for an opaque token.
	KeyID string
	// Essence and Inner are those of token.Token.
	Essence, Inner token.Digest
	// IssuedAt is iat, zero if absent.
	IssuedAt time.Time

	// Tags are what a token of the gateway's own was derived from; see State.FactsOf.
	Tags Tags

	// unread has sid and sub, which are looked for only where an event is about one.
	unread *token.Token
}

// FactsOf reads a verified token.
func FactsOf(t *token.Token) Facts {
	facts := factsOf(t)
	facts.Session, facts.Sub, facts.unread = facts.session(), facts.sub(), nil
	return facts
}

// factsOf is FactsOf for the way of a request: it reads no claim.
func factsOf(t *token.Token) Facts {
	return Facts{
		Issuer: t.Issuer, ID: t.ID, Subject: t.Subject, Client: t.Client,
		KeyID: t.KeyID, Essence: t.Essence, Inner: t.Inner, IssuedAt: t.IssuedAt, unread: t,
	}
}

// DigestValue is what Event.Value is for a token of that essence.
func DigestValue(digest token.Digest) string { return base64.RawURLEncoding.EncodeToString(digest[:]) }

func (f *Facts) session() string {
	if f.unread == nil {
		return f.Session
	}
	session, _ := f.unread.Claims.Text("sid")
	return session
}

func (f *Facts) sub() string {
	if f.unread == nil {
		return f.Sub
	}
	sub, _ := f.unread.Claims.Text("sub")
	return sub
}

// values are what an event of that kind would have to name, one or the other: whoever
// revokes may know a subject by the claim sub alone, and an encrypted token by the one
// in it.
func (f *Facts) values(kind kindIndex) (value, other string) {
	switch kind {
	case ofToken:
		if f.Inner != (token.Digest{}) {
			other = textOf(&f.Inner)
		}
		return textOf(&f.Essence), other
	case ofSubject:
		return ValueOf(f.Subject), ValueOf(f.sub())
	default:
		return f.value(kind), ""
	}
}

// textOf is a digest as the text that the list compares, where it lies: a copy would
// be garbage of each request.
func textOf(digest *token.Digest) string {
	return unsafe.String(&digest[0], len(digest)) //nolint:gosec // nobody changes it while it is compared
}

// value is what an event of that kind would have to name, "" if the token has
// nothing of that kind. It leaves out the digest, which is no text.
func (f *Facts) value(kind kindIndex) string {
	switch kind {
	case ofID:
		return ValueOf(f.ID)
	case ofSubject:
		return ValueOf(f.Subject)
	case ofSession:
		return ValueOf(f.session())
	case ofClient:
		return ValueOf(f.Client)
	case ofKey:
		return ValueOf(f.KeyID)
	default:
		return ""
	}
}
