package token

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A check is one condition on a token, asked on every request, remembered tokens
// included.
type check func(t *Token, issuer *Issuer, at moment) error

// moment is when and where a token is presented.
type moment struct {
	now      time.Time
	audience Audience
}

// checks are in the order in which a person would ask: what is it, is it still
// good, is it for us.
var checks = []check{
	checkType,
	checkKind,
	checkBinding,
	checkExpiry,
	checkNotBefore,
	checkIssuedAt,
	checkAudience,
}

// checkType accepts the types of an access token (RFC 9068, section 2.1; JWT and
// absent for the many servers that do not set it). Everything else is a JWT made
// for another purpose (RFC 8725, section 3.11).
func checkType(t *Token, _ *Issuer, _ moment) error {
	const media = "application/"
	kind := t.Type
	if len(kind) >= len(media) && strings.EqualFold(kind[:len(media)], media) {
		kind = kind[len(media):]
	}
	if kind != "" && !strings.EqualFold(kind, "at+jwt") && !strings.EqualFold(kind, "JWT") {
		return fmt.Errorf("%w: the typ header is not that of an access token", WrongType)
	}
	return nil
}

// checkKind refuses ID tokens and security event tokens by what only they have:
// an ID token says who logged in at a client, and opens nothing (RFC 9068,
// section 5; RFC 8417, section 2.2).
func checkKind(t *Token, _ *Issuer, _ moment) error {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		if t.Claims.Has(name) {
			return fmt.Errorf("%w: claim %s belongs to an ID token", WrongType, name)
		}
	}
	if t.Claims.Has("events") {
		return fmt.Errorf("%w: claim events belongs to a security event token", WrongType)
	}
	if kind, ok := t.Claims.Text("typ"); ok && isOtherKind(kind) {
		return fmt.Errorf("%w: claim typ says that it is not an access token", WrongType)
	}
	return nil
}

// isOtherKind knows the typ claims that name other kinds of token: servers that
// write the kind into the payload use ID, Refresh, Offline and Logout.
func isOtherKind(kind string) bool {
	return slices.ContainsFunc([]string{"ID", "Refresh", "Offline", "Logout"}, func(other string) bool {
		return strings.EqualFold(kind, other)
	})
}

// checkBinding refuses tokens that are bound to a key (RFC 7800, section 3):
// taken as plain bearer tokens, a stolen one would be as good as its owner's.
func checkBinding(t *Token, _ *Issuer, _ moment) error {
	if t.Claims.Has("cnf") {
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

// checkAudience wants aud to name this API, whole and exactly (RFC 9068, section
// 4; RFC 8725, section 3.9).
func checkAudience(t *Token, issuer *Issuer, at moment) error {
	if len(t.Audience) == 0 {
		return fmt.Errorf("%w: aud is absent", WrongAudience)
	}
	accepted := at.audience
	if accepted.IsZero() {
		accepted = issuer.Audience
	}
	if !accepted.Any && !slices.ContainsFunc(accepted.Values, t.HasAudience) {
		return fmt.Errorf("%w: aud names another API", WrongAudience)
	}
	return nil
}
