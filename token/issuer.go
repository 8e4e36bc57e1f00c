package token

import (
	"context"
	"fmt"
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
	// Any accepts every aud, and a token without one: there are servers whose access
	// tokens have none. Whoever writes it bounds the tokens by other rules.
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
	// Types are the accepted typ headers, "" for an absent one; a prefix
	// application/ and case do not matter. Default: at+jwt, JWT and absent. at+jwt
	// alone is strict RFC 9068, with all the claims that it requires.
	Types []string
	// MaxAge refuses tokens that were issued longer ago, and those that do not say
	// when. Default: any age.
	MaxAge time.Duration
	// Require are paths to claims that must be there and hold something.
	Require []string
	// Claims are where the issuer puts things.
	Claims ClaimPaths
	// Leeway is how far the clocks may be apart.
	Leeway time.Duration
	// Keys are the issuer's keys, bound to it: no other issuer's key verifies
	// its tokens.
	Keys KeySource
	// Decrypter opens the issuer's encrypted tokens. Default: they are refused.
	Decrypter Decrypter
	// Statuses are the issuer's status lists. Default: tokens that name one are refused.
	Statuses StatusSource
	// Asked tells that the issuer is asked about its JWTs too; see
	// Verifier.VerifyToAsk.
	Asked bool
}

// A Decrypter opens a compact JWE and returns the compact JWS in it; see
// jose.Decrypter.
type Decrypter interface {
	Decrypt(compact string) (string, error)
	// ID tells one set of keys and what they may be used for from another.
	ID() string
}

// ClaimPaths are where an issuer puts what the gateway reads. Of several paths
// the first that leads to a claim counts, and what is there must have the right
// type. The zero value means the defaults.
type ClaimPaths struct {
	// Subject is the caller's name. Default: sub.
	Subject string
	// Scope are the scopes held. Default: scope, scp.
	Scope []string
	// Client is the OAuth client. Default: client_id, azp.
	Client []string
	// Roles are the roles held. Default: none are read.
	Roles []string
}

var (
	defaultScope  = []string{"scope", "scp"}
	defaultClient = []string{"client_id", "azp"}
)

// shape names the paths: what was read by others is another reading of the same
// token. Quotes part the texts, so that no two readings have one name.
func (p ClaimPaths) shape() string {
	if p.Subject == "" && p.Scope == nil && p.Client == nil && p.Roles == nil {
		return ""
	}
	return fmt.Sprintf("%q %q %q %q", p.Subject, p.Scope, p.Client, p.Roles)
}

func (i *Issuer) allows(alg jose.Algorithm) bool { return slices.Contains(i.Algorithms, alg) }
