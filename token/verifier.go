package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// A Verifier says whether a token is good on one route. It is immutable and safe
// for concurrent use.
type Verifier struct {
	issuers  map[string]*Issuer
	audience Audience
	cache    *Cache
	now      func() time.Time
}

// VerifierConfig shapes a Verifier.
type VerifierConfig struct {
	// Issuers are the issuers whose tokens the route accepts.
	Issuers []*Issuer
	// Audience overrides the issuers' accepted audiences where it is not empty.
	Audience Audience
	// Cache remembers verified tokens. Default: none are remembered.
	Cache *Cache
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// NewVerifier makes a verifier.
func NewVerifier(config VerifierConfig) *Verifier {
	verifier := &Verifier{
		issuers:  make(map[string]*Issuer, len(config.Issuers)),
		audience: config.Audience,
		cache:    config.Cache,
		now:      config.Now,
	}
	for _, issuer := range config.Issuers {
		verifier.issuers[issuer.URL] = issuer
	}
	if verifier.now == nil {
		verifier.now = time.Now
	}
	return verifier
}

// Verify returns the token and the issuer that made it, or an error that wraps
// the Reason it is refused for. Cheap checks come before cryptography and
// cryptography before the network (RFC 9068, section 4, in another order). A
// remembered token skips the cryptography and nothing else.
func (v *Verifier) Verify(ctx context.Context, raw Raw) (*Token, *Issuer, error) {
	entry := v.cache.get(raw.Digest())
	if entry == nil {
		return v.verifyAnew(ctx, raw)
	}
	issuer := v.issuers[entry.token.Issuer]
	if issuer == nil || !issuer.Keys.Holds(entry.key) || !issuer.allows(entry.alg) {
		return v.verifyAnew(ctx, raw)
	}
	if err := v.check(entry.token, issuer); err != nil {
		return nil, nil, err
	}
	return entry.token, issuer, nil
}

func (v *Verifier) verifyAnew(ctx context.Context, raw Raw) (*Token, *Issuer, error) {
	jws, parsed, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	// The unverified iss only chooses among the issuers of this route.
	issuer := v.issuers[parsed.Issuer]
	if issuer == nil {
		return nil, nil, UnknownIssuer
	}
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !issuer.allows(alg) {
		return nil, nil, WrongAlgorithm
	}
	if err := v.check(parsed, issuer); err != nil {
		return nil, nil, err
	}
	key, err := findKey(ctx, jws, issuer, alg)
	if err != nil {
		return nil, nil, err
	}
	v.cache.put(raw.Digest(), &verified{token: parsed, key: key, alg: alg})
	return parsed, issuer, nil
}

func (v *Verifier) check(t *Token, issuer *Issuer) error {
	at := moment{now: v.now(), audience: v.audience}
	for _, check := range checks {
		if err := check(t, issuer, at); err != nil {
			return err
		}
	}
	return nil
}

// findKey returns the issuer's key that made the signature.
func findKey(ctx context.Context, jws *jose.JWS, issuer *Issuer, alg jose.Algorithm) (*jose.Key, error) {
	candidates, err := issuer.Keys.Find(ctx, jws.Header.KeyID, alg)
	switch {
	case errors.Is(err, keys.ErrUnavailable):
		return nil, fmt.Errorf("%w: %w", NoKeys, err)
	case errors.Is(err, keys.ErrUnknown):
		return nil, fmt.Errorf("%w: %w", UnknownKey, err)
	case err != nil:
		return nil, err
	}
	for _, key := range candidates {
		if jws.VerifyWith(key, alg) == nil {
			return key, nil
		}
	}
	return nil, BadSignature
}
