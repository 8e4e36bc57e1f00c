package signing

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// backdate is how far iat lies before the moment of minting, so that an upstream
	// whose clock is a little late does not take a new token for one of the future.
	backdate = 5 * time.Second
	// idBytes are 128 random bits of jti: nobody meets one twice.
	idBytes = 16
)

// What Mint refuses. None of them is the doing of whoever presents a token, but
// for ErrEnded.
var (
	// ErrClaims: the claims do not make a token of that purpose.
	ErrClaims = errors.New("minting token")
	// ErrEnded: NotAfter leaves no whole second to the token.
	ErrEnded = errors.New("minting token: what it is derived from has ended")
)

// types are the typ headers: at+jwt (RFC 9068, section 2.1), and txntoken+jwt of
// OAuth transaction tokens.
var types = map[Purpose]string{AccessTokens: "at+jwt", TransactionTokens: "txntoken+jwt"} //nolint:gosec // names, not credentials

// A Minter makes tokens in the gateway's own name. It is immutable and safe for
// concurrent use.
type Minter struct {
	keys   Keys
	issuer string
	now    func() time.Time
	veil   *Veil
}

// NewMinter makes a minter whose tokens have that issuer (iss). now is the clock,
// nil: time.Now.
func NewMinter(keys Keys, issuer string, now func() time.Time) *Minter {
	if now == nil {
		now = time.Now
	}
	return &Minter{keys: keys, issuer: issuer, now: now}
}

// Veiled returns a minter that writes origins behind a veil. Without one it writes
// none.
func (m *Minter) Veiled(veil *Veil) *Minter {
	veiled := *m
	veiled.veil = veil
	return &veiled
}

// Issuer is the iss of every token.
func (m *Minter) Issuer() string { return m.issuer }

// KeyID is the kid that the next token of that purpose is signed with, "" if there
// is no key.
func (m *Minter) KeyID(purpose Purpose) string {
	signer, err := m.keys.Signer(purpose)
	if err != nil {
		return ""
	}
	return signer.KeyID()
}

// A Minted is a token and what is to be known of it without reading it.
type Minted struct {
	// Token is the signed token. It prints as its fingerprint.
	Token token.Raw
	// ID is its jti.
	ID string
	// Expiry is its exp, in whole seconds.
	Expiry time.Time
	// KeyID is the kid of the key that signed it.
	KeyID string
}

// Mint makes a token of that purpose. Errors wrap ErrNoKey, ErrEnded or ErrClaims,
// or are those of the key.
func (m *Minter) Mint(purpose Purpose, claims *Claims) (*Minted, error) {
	signer, err := m.keys.Signer(purpose)
	if err != nil {
		return nil, fmt.Errorf("minting token: %w", err)
	}
	if err := claims.check(purpose); err != nil {
		return nil, err
	}
	now := m.now()
	expiry := claims.expiry(now)
	if !expiry.After(now) {
		return nil, ErrEnded
	}
	id := newID()
	payload, err := m.payload(purpose, claims, stamp{id: id, issued: now.Add(-backdate).Unix(), expiry: expiry.Unix()})
	if err != nil {
		return nil, err
	}
	text, err := signer.SignTyped(types[purpose], payload)
	if err != nil {
		return nil, fmt.Errorf("minting token: %w", err)
	}
	return &Minted{Token: token.NewRaw(text), ID: id, Expiry: expiry, KeyID: signer.KeyID()}, nil
}

// expiry is when a token minted now ends: in whole seconds, and rounded down, so
// that it does not outlive what it is derived from by a part of one.
func (c *Claims) expiry(now time.Time) time.Time {
	end := now.Add(c.Lifetime)
	if !c.NotAfter.IsZero() && c.NotAfter.Before(end) {
		end = c.NotAfter
	}
	return time.Unix(end.Unix(), 0)
}

func newID() string {
	var random [idBytes]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// NewTransaction makes a value for txn: as random as a jti.
func NewTransaction() string { return newID() }
