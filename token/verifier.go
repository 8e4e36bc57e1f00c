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
	bindings bool
	cache    *Cache
	now      func() time.Time
	passed   *Slots[passed] // nil where nothing is remembered

	// encrypted are the issuers whose tokens may come encrypted.
	encrypted []trusted
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
	// Bindings tells that whoever asks checks Token.Confirmation. Default: a token
	// that is bound to a key is refused.
	Bindings bool
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
		bindings: config.Bindings,
		cache:    config.Cache,
		now:      config.Now,
	}
	for _, issuer := range config.Issuers {
		known := trusted{Issuer: issuer, shape: issuer.Claims.shape()}
		verifier.issuers[issuer.URL] = known
		if issuer.Decrypter != nil {
			verifier.encrypted = append(verifier.encrypted, known)
		}
	}
	if config.Cache != nil {
		verifier.passed = new(Slots[passed])
	}
	if verifier.now == nil {
		verifier.now = time.Now
	}
	return verifier
}

// Verify returns the token and the issuer that made it, or an error that wraps
// the Reason it is refused for. Cheap checks come before cryptography and
// cryptography before the network (RFC 9068, section 4, in another order). A
// remembered token skips the cryptography, and where it has passed here before those
// checks that would say the same again.
func (v *Verifier) Verify(ctx context.Context, raw Raw) (*Token, *Issuer, error) {
	if known := v.recall(&raw.digest, v.now().UnixNano()); known != nil {
		if err := checkStatus(ctx, known.token, known.issuer); err != nil {
			return nil, nil, err
		}
		return known.token, known.issuer, nil
	}
	return v.verify(ctx, raw, false)
}

// VerifyToAsk is Verify for whoever asks the issuer about the token next where
// Issuer.Asked says so, and then calls Judge with what it said: of such an
// issuer's token nothing is missed that the answer may hold (aud, required
// claims). A bad token is still refused here, so that nobody can make the gateway
// ask about texts of their own making.
func (v *Verifier) VerifyToAsk(ctx context.Context, raw Raw) (*Token, *Issuer, error) {
	return v.verify(ctx, raw, true)
}

// Judge checks a token that was not read from a JWT, or not from it alone, by the
// rules of its issuer on this route. Its issuer must have said all of it.
func (v *Verifier) Judge(t *Token) (*Issuer, error) {
	issuer, ok := v.issuers[t.Issuer]
	if !ok {
		return nil, UnknownIssuer
	}
	return issuer.Issuer, v.check(t, issuer.Issuer, false)
}

func (v *Verifier) verify(ctx context.Context, raw Raw, asking bool) (*Token, *Issuer, error) {
	entry := v.cache.get(raw.Digest())
	if entry == nil {
		return v.verifyAnew(ctx, raw, asking)
	}
	issuer, ok := v.issuers[entry.token.Issuer]
	if !ok || !issuer.Keys.Holds(entry.key) || !issuer.allows(entry.alg) || issuer.shape != entry.shape || !issuer.opened(entry) {
		return v.verifyAnew(ctx, raw, asking)
	}
	at := v.moment(issuer.Issuer, asking)
	if err := askAll(entry.token, issuer.Issuer, at); err != nil {
		return nil, nil, err
	}
	if !asking {
		v.note(entry, issuer.Issuer, at.now)
	}
	if err := checkStatus(ctx, entry.token, issuer.Issuer); err != nil {
		return nil, nil, err
	}
	return entry.token, issuer.Issuer, nil
}

func (v *Verifier) verifyAnew(ctx context.Context, raw Raw, asking bool) (*Token, *Issuer, error) {
	opened, err := v.open(raw)
	if err != nil {
		return nil, nil, err
	}
	issuer, jws := opened.issuer, opened.jws
	parsed, err := readJWT(raw.Digest(), jws.Header.Type, opened.claims, issuer.Claims)
	if err != nil {
		return nil, nil, err
	}
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !issuer.allows(alg) {
		return nil, nil, WrongAlgorithm
	}
	if err := v.check(parsed, issuer.Issuer, asking); err != nil {
		return nil, nil, err
	}
	key, err := findKey(ctx, jws, issuer.Issuer, alg)
	if err != nil {
		return nil, nil, err
	}
	parsed.KeyID, parsed.Essence = key.ID(), raw.Essence()
	if opened.opener != "" {
		parsed.Inner = opened.essence
	}
	v.cache.put(raw.Digest(), &verified{token: parsed, key: key, alg: alg, shape: issuer.shape, opener: opened.opener})
	if err := checkStatus(ctx, parsed, issuer.Issuer); err != nil {
		return nil, nil, err
	}
	return parsed, issuer.Issuer, nil
}

func (v *Verifier) check(t *Token, issuer *Issuer, asking bool) error {
	return askAll(t, issuer, v.moment(issuer, asking))
}

func askAll(t *Token, issuer *Issuer, at moment) error {
	for i := range checks {
		if err := checks[i].ask(t, issuer, at); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) moment(issuer *Issuer, asking bool) moment {
	return moment{now: v.now(), audience: v.audience, bindings: v.bindings, deferred: asking && issuer.Asked}
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
