package token

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A check is one condition on a token, asked on every request, remembered tokens
// included. Its name is short and stays.
type check struct {
	name string
	ask  func(t *Token, issuer *Issuer, at moment) error
}

// moment is when and where a token is presented.
type moment struct {
	now      time.Time
	audience Audience
	// bindings: whoever asks checks what the token is bound to.
	bindings bool
	// deferred: the issuer will be asked about the token, so what it may say then
	// is not missed now.
	deferred bool
}

// checks are in the order in which a person would ask: what is it, is it still
// good, is it for us.
var checks = []check{
	{"type", checkType},
	{"kind", checkKind},
	{"binding", checkBinding},
	{"expiry", checkExpiry},
	{"not_before", checkNotBefore},
	{"issued_at", checkIssuedAt},
	{"age", checkAge},
	{"audience", checkAudience},
	{"profile", checkProfile},
	{"required_claims", checkRequired},
}

// TypeAccessToken is the typ header of RFC 9068, section 2.1.
const TypeAccessToken = "at+jwt"

// defaultTypes are RFC 9068's and, for the many servers that do not know it, JWT
// and none at all.
var defaultTypes = []string{TypeAccessToken, "JWT", ""}

// checkType accepts the types of an access token. Everything else is a JWT made
// for another purpose (RFC 8725, section 3.11).
func checkType(t *Token, issuer *Issuer, _ moment) error {
	if t.opaque {
		return nil // its issuer said what it is
	}
	const media = "application/"
	kind := t.Type
	if len(kind) > len(media) && strings.EqualFold(kind[:len(media)], media) {
		kind = kind[len(media):]
	}
	types := issuer.Types
	if len(types) == 0 {
		types = defaultTypes
	}
	for _, accepted := range types {
		if kind == accepted || strings.EqualFold(kind, accepted) {
			return nil
		}
	}
	return fmt.Errorf("%w: the typ header is not that of an access token", WrongType)
}

// checkKind refuses ID tokens and security event tokens: an ID token says who
// logged in at a client, and opens nothing (RFC 9068, section 5; RFC 8417,
// section 2.2). What the claims are never changes, so it was found when they were
// read.
func checkKind(t *Token, _ *Issuer, _ moment) error { return t.foreign }

// foreignKind knows other kinds of token by what only they have.
func foreignKind(claims Claims) error {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		if claims.Has(name) {
			return fmt.Errorf("%w: claim %s belongs to an ID token", WrongType, name)
		}
	}
	if claims.Has("events") {
		return fmt.Errorf("%w: claim events belongs to a security event token", WrongType)
	}
	for _, name := range []string{"typ", "token_use", "token_type"} {
		if kind, ok := claims.Text(name); ok && isOtherKind(kind) {
			return fmt.Errorf("%w: claim %s says that it is not an access token", WrongType, name)
		}
	}
	return nil
}

// otherKinds are what servers call other kinds of token in the claims typ,
// token_use and token_type, or in what they say of a token: introspection calls a
// refresh token active too (RFC 7662, section 2.2).
var otherKinds = []string{"ID", "Refresh", "Offline", "Logout", "id_token", "refresh_token"}

// isOtherKind knows the values of these claims that name other kinds of token.
func isOtherKind(kind string) bool {
	return slices.ContainsFunc(otherKinds, func(other string) bool {
		return strings.EqualFold(kind, other)
	})
}

// checkBinding refuses tokens that are bound to a key (RFC 7800, section 3) where
// nobody checks the proof: taken as plain bearer tokens, a stolen one would be as
// good as its owner's.
func checkBinding(t *Token, _ *Issuer, at moment) error {
	if !at.bindings && !t.Confirmation.IsZero() {
		return fmt.Errorf("%w: the token is bound to a key (cnf) and came without proof", Bound)
	}
	return nil
}

func checkExpiry(t *Token, issuer *Issuer, at moment) error {
	if t.Expiry.IsZero() {
		return fmt.Errorf("%w: exp is absent", BadClaim)
	}
	if !at.now.Before(t.Expiry.Add(issuer.Leeway)) {
		return Expired
	}
	return nil
}

func checkNotBefore(t *Token, issuer *Issuer, at moment) error {
	if t.NotBefore.After(at.now.Add(issuer.Leeway)) {
		return fmt.Errorf("%w: nbf lies in the future", NotYetValid)
	}
	return nil
}

func checkIssuedAt(t *Token, issuer *Issuer, at moment) error {
	if t.IssuedAt.After(at.now.Add(issuer.Leeway)) {
		return fmt.Errorf("%w: iat lies in the future", NotYetValid)
	}
	return nil
}

// checkAge holds the issuer to a shorter life than exp, from iat on.
func checkAge(t *Token, issuer *Issuer, at moment) error {
	switch {
	case issuer.MaxAge <= 0:
		return nil
	case t.IssuedAt.IsZero():
		return fmt.Errorf("%w: iat is absent, so its age is unknown", BadClaim)
	case !at.now.Before(t.IssuedAt.Add(issuer.MaxAge + issuer.Leeway)):
		return TooOld
	}
	return nil
}

// profileClaims are those that RFC 9068, section 2.2, requires.
var profileClaims = []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}

// checkProfile asks of a strict issuer's token all that the profile requires.
func checkProfile(t *Token, issuer *Issuer, at moment) error {
	if at.deferred || t.opaque {
		return nil
	}
	if len(issuer.Types) != 1 || !strings.EqualFold(issuer.Types[0], TypeAccessToken) {
		return nil
	}
	return hasAll(t.Claims, profileClaims)
}

func checkRequired(t *Token, issuer *Issuer, at moment) error {
	if at.deferred {
		return nil
	}
	return hasAll(t.Claims, issuer.Require)
}

func hasAll(claims Claims, paths []string) error {
	for _, path := range paths {
		if !claims.filled(path) {
			return fmt.Errorf("%w: %s is absent or empty", BadClaim, path)
		}
	}
	return nil
}

// checkAudience wants aud to name this API, whole and exactly (RFC 9068, section
// 4; RFC 8725, section 3.9).
func checkAudience(t *Token, issuer *Issuer, at moment) error {
	accepted := at.audience
	if accepted.IsZero() {
		accepted = issuer.Audience
	}
	switch {
	case accepted.Any || at.deferred:
		return nil
	case len(t.Audience) == 0:
		return fmt.Errorf("%w: aud is absent", WrongAudience)
	case !slices.ContainsFunc(accepted.Values, t.HasAudience):
		return fmt.Errorf("%w: aud names another API", WrongAudience)
	}
	return nil
}
