package token

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A KeySource finds the keys of one issuer; see keys.Source.
type KeySource interface {
	// Find returns the keys that may have made a signature. It does not wait for
	// keys that are known. Errors: keys.ErrUnknown, keys.ErrUnavailable or the
	// context's.
	Find(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error)
	// Holds tells whether the key is still one of the issuer's.
	Holds(key *jose.Key) bool
}

// Audience are the aud values that are accepted, of which a token must have one.
type Audience struct {
	Values []string
	// Any accepts every aud. aud itself is still required.
	Any bool
}

// IsZero tells whether nothing is accepted, which no configuration may mean.
func (a Audience) IsZero() bool { return len(a.Values) == 0 && !a.Any }

// An Issuer is an authorization server whose tokens are trusted, and the rules
// for them. It is immutable.
type Issuer struct {
	// URL is the iss claim, compared character for character.
	URL string
	// UserPrefix comes before the subject where several issuers are trusted, so
	// that user 42 of one is not user 42 of another: the issuer block's name and a
	// slash, or the URL and a number sign.
	UserPrefix string
	// Audience are the accepted aud values unless the route says otherwise.
	Audience Audience
	// Algorithms are the signature algorithms the issuer may use.
	Algorithms []jose.Algorithm
	// Leeway is how far the clocks may be apart.
	Leeway time.Duration
	// Keys are the issuer's keys, bound to it: no other issuer's key verifies
	// its tokens.
	Keys KeySource
}

func (i *Issuer) allows(alg jose.Algorithm) bool { return slices.Contains(i.Algorithms, alg) }
