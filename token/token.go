package token

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Token is a verified access token: what the gateway knows about the caller.
// It is immutable and shared between requests that present the same text; the
// text itself is not in it.
type Token struct {
	// Issuer is the iss claim, exactly as the issuer wrote it.
	Issuer string
	// Subject is the sub claim, or what the issuer's claims name in its place. It is
	// unique within the issuer only.
	Subject string
	// Client is the OAuth client the token was issued to: client_id or azp
	// (RFC 8693, section 4.3; RFC 9068, section 2.2) unless the issuer's claims say
	// otherwise, "" if none is there.
	Client string
	// ID is the jti claim, "" if absent.
	ID string
	// Audience is the aud claim as a list.
	Audience []string
	// Scopes are the scopes held, in the order of the token.
	Scopes []string
	// Roles are the roles held, where the issuer's claims say where they lie.
	Roles []string
	// ACR is the acr claim, "" if absent.
	ACR string
	// AMR is the amr claim as a list (RFC 8176).
	AMR []string
	// AuthTime is when the user logged in (auth_time), zero if absent.
	AuthTime time.Time
	// Actor is the sub of the outermost act claim, the current actor (RFC 8693,
	// section 4.1), "" if absent.
	Actor string
	// IssuedAt and NotBefore are zero if absent; Expiry never is.
	IssuedAt, NotBefore, Expiry time.Time
	// Type is the typ header, "" if absent.
	Type string
	// KeyID is the kid of the key that signed it, "" for an opaque token and for a key
	// without one.
	KeyID string
	// Claims are all claims. They must not be changed.
	Claims Claims
	// Confirmation is what whoever presents the token must prove to hold, zero for a
	// bearer token.
	Confirmation Confirmation
	// Status is where the issuer says whether it still stands by the token, zero where
	// the token names no such place or its issuer was asked about it.
	Status Status
	// Digest names the token.
	Digest Digest
	// Essence names it however it is signed: see Raw.Essence. Inner is that of the token
	// in an encrypted one, zero for others: anybody can encrypt a token once more.
	Essence, Inner Digest

	// Said names what its issuer said of it, where that was asked: another answer about the
	// same token has another one. Zero where the token alone speaks.
	Said Digest

	// JWT is what the token itself says, where its issuer was asked about it and names it,
	// its subject or its date in another way; nil otherwise. Only what it is known by
	// counts: its claims were not judged.
	JWT *Token

	// What the claims say for good, found when they were read.
	foreign error // the token is of another kind, and never accepted
	number  uint64
	noted   atomic.Uint32
	opaque  bool // its issuer was asked about it, and it is no JWT: there is no header
}

// numbers counts the tokens that were read.
var numbers atomic.Uint64 //nolint:gochecknoglobals // a number is given once in a process

// Number tells this token from every other one that was read in this process, be it of the
// same text: read once more it may say something else. It is zero for one that was not read.
func (t *Token) Number() uint64 { return t.number }

// Noted is what was noted at the token last, 0 if nothing was. It is for whoever finds out
// the same again and again of a token that never changes.
func (t *Token) Noted() uint32 { return t.noted.Load() }

// Note notes a number at the token.
func (t *Token) Note(number uint32) { t.noted.Store(number) }

// HasScope tells whether the token holds exactly that scope.
func (t *Token) HasScope(scope string) bool { return slices.Contains(t.Scopes, scope) }

// HasAudience tells whether aud is, or contains, exactly that value.
func (t *Token) HasAudience(audience string) bool { return slices.Contains(t.Audience, audience) }
