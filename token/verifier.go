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
	issuers  map[string]trusted
	audience Audience
	cache    *Cache
	now      func() time.Time
}

// A trusted issuer and the name of how its claims are read.
type trusted struct {
	*Issuer

	shape string
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
		issuers:  make(map[string]trusted, len(config.Issuers)),
		audience: config.Audience,
		cache:    config.Cache,
		now:      config.Now,
	}
	for _, issuer := range config.Issuers {
		verifier.issuers[issuer.URL] = trusted{Issuer: issuer, shape: issuer.Claims.shape()}
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
	issuer, ok := v.issuers[entry.token.Issuer]
	if !ok || !issuer.Keys.Holds(entry.key) || !issuer.allows(entry.alg) || issuer.shape != entry.shape {
		return v.verifyAnew(ctx, raw)
	}
	if err := v.check(entry.token, issuer.Issuer); err != nil {
		return nil, nil, err
	}
	return entry.token, issuer.Issuer, nil
}

func (v *Verifier) verifyAnew(ctx context.Context, raw Raw) (*Token, *Issuer, error) {
	jws, claims, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	issuer, err := v.choose(claims)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := read(raw, jws, claims, issuer.Claims)
	if err != nil {
		return nil, nil, err
	}
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !issuer.allows(alg) {
		return nil, nil, WrongAlgorithm
	}
	if err := v.check(parsed, issuer.Issuer); err != nil {
		return nil, nil, err
	}
	key, err := findKey(ctx, jws, issuer.Issuer, alg)
	if err != nil {
		return nil, nil, err
	}
	v.cache.put(raw.Digest(), &verified{token: parsed, key: key, alg: alg, shape: issuer.shape})
	return parsed, issuer.Issuer, nil
}

// choose lets the unverified iss choose among the issuers of this route, and do
// nothing else.
func (v *Verifier) choose(claims Claims) (trusted, error) {
	url, err := issuerOf(claims)
	if err != nil {
		return trusted{}, err
	}
	issuer, ok := v.issuers[url]
	if !ok {
		return trusted{}, UnknownIssuer
	}
	return issuer, nil
}

func (v *Verifier) check(t *Token, issuer *Issuer) error {
	at := moment{now: v.now(), audience: v.audience}
	for i := range checks {
		if err := checks[i].ask(t, issuer, at); err != nil {
			return err
		}
	}
	return nil
}

// findKey returns the issuer's key that made the signature.
func findKey(ctx context.Context, jws *jose.JWS, issuer *Issuer, alg jose.Algorithm) (*jose.Key, error) {
	candidates, err := candidates(ctx, jws, issuer, alg)
	if err != nil {
		return nil, err
	}
	return signedBy(jws, candidates, alg)
}

// candidates are the issuer's keys that may have made the signature.
func candidates(ctx context.Context, jws *jose.JWS, issuer *Issuer, alg jose.Algorithm) ([]*jose.Key, error) {
	found, err := issuer.Keys.Find(ctx, jws.Header.KeyID, alg)
	switch {
	case errors.Is(err, keys.ErrUnavailable):
		return nil, fmt.Errorf("%w: %w", NoKeys, err)
	case errors.Is(err, keys.ErrUnknown):
		return nil, fmt.Errorf("%w: %w", UnknownKey, err)
	case err != nil:
		return nil, err
	}
	return found, nil
}

func signedBy(jws *jose.JWS, candidates []*jose.Key, alg jose.Algorithm) (*jose.Key, error) {
	for _, key := range candidates {
		if jws.VerifyWith(key, alg) == nil {
			return key, nil
		}
	}
	return nil, BadSignature
}
