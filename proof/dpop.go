package proof

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Defaults and bounds of DPoP proofs.
const (
	// DefaultWindow is how old a proof may be (RFC 9449, section 11.1: seconds or
	// minutes). A replay mark lives as long.
	DefaultWindow = time.Minute
	// MaxWindow bounds it: each minute more is a minute more of marks.
	MaxWindow = 5 * time.Minute
	// MaxLeeway is how far a client's clock may be ahead, and the default.
	MaxLeeway = 30 * time.Second
	// MaxProof is the longest proof that is looked at. Real ones have less than
	// 1 KiB, or 2 with an RSA key.
	MaxProof = 8 << 10

	maxID       = 256 // octets of a jti
	proofType   = "dpop+jwt"
	farFuture   = 253402300799 // the end of year 9999
	markPurpose = store.Purpose("dpop")
)

// A DPoP checks DPoP proofs. It is immutable and safe for concurrent use.
type DPoP struct {
	config DPoPConfig
}

// DPoPConfig shapes a DPoP.
type DPoPConfig struct {
	// Marks remember the proofs that were used. Required.
	Marks store.Marks
	// Shares bound how many marks one key has. Who shares Marks shares them too.
	// Default: some of this checker's own, for store.DefaultMarks.
	Shares *Shares
	// Algorithms are the signature algorithms that are accepted. Default: all that
	// jose knows, which are asymmetric.
	Algorithms []jose.Algorithm
	// Window is how old a proof may be. Default: DefaultWindow; at most MaxWindow.
	Window time.Duration
	// Leeway is how far in the future iat may lie. Default: MaxLeeway, which is also
	// the most.
	Leeway time.Duration
	// Nonces, if set, must be in each proof.
	Nonces *Nonces
}

// NewDPoP makes a checker. It fails if the configuration contradicts the bounds.
func NewDPoP(config DPoPConfig) (*DPoP, error) {
	if config.Marks == nil {
		return nil, errors.New("DPoP without a store would accept proofs twice")
	}
	if len(config.Algorithms) == 0 {
		config.Algorithms = jose.Asymmetric()
	}
	for _, alg := range config.Algorithms {
		if _, err := jose.ParseAlgorithm(string(alg)); err != nil {
			return nil, err
		}
		if alg.IsSymmetric() {
			return nil, fmt.Errorf("%s signs with a shared secret, and a DPoP proof brings its key along", alg)
		}
	}
	if config.Window == 0 {
		config.Window = DefaultWindow
	}
	if config.Leeway == 0 {
		config.Leeway = MaxLeeway
	}
	if config.Window < time.Second || config.Window > MaxWindow {
		return nil, fmt.Errorf("a DPoP proof may be between 1s and %s old, not %s", MaxWindow, config.Window)
	}
	if config.Leeway < 0 || config.Leeway > MaxLeeway {
		return nil, fmt.Errorf("the iat of a DPoP proof may lie at most %s in the future, not %s", MaxLeeway, config.Leeway)
	}
	if config.Shares == nil {
		config.Shares = NewShares(0, config.Window)
	}
	return &DPoP{config: config}, nil
}

// Algorithms are what a challenge says in its algs parameter (RFC 9449, section
// 7.1).
func (d *DPoP) Algorithms() []jose.Algorithm { return slices.Clone(d.config.Algorithms) }

// Nonce is what a challenge or an answer offers in its DPoP-Nonce header, "" where
// no nonces are asked for.
func (d *DPoP) Nonce() string {
	if d.config.Nonces == nil {
		return ""
	}
	return d.config.Nonces.Offer()
}

// A Request is what a proof must be for.
type Request struct {
	// Proofs are the values of all DPoP header fields.
	Proofs []string
	// Method is the request's method.
	Method string
	// URLs are the absolute URLs that the client may have called, as the client
	// sees them; query and fragment do not count.
	URLs []string
	// Token is the digest of the access token that came with the proof; the zero
	// value where none comes, as at a token endpoint.
	Token token.Digest
	// Key is the thumbprint of the key that must have signed; the zero value accepts
	// any key.
	Key token.Thumbprint
}

// A Proved is what a good proof says.
type Proved struct {
	// Key is the thumbprint of the key that signed.
	Key token.Thumbprint
	// NextNonce is what the answer should offer in its DPoP-Nonce header, because
	// the proof's own nonce is about to expire; "" if there is no need.
	NextNonce string
}

// Check checks everything of RFC 9449, section 4.3, and marks the proof as used. An
// error wraps a Reason. What is cheap comes first, the signature after it, and the
// mark last, so that nobody can use up a proof, or the store, without the key.
func (d *DPoP) Check(ctx context.Context, request Request) (Proved, error) {
	proof, err := parseProof(request.Proofs)
	if err != nil {
		return Proved{}, err
	}
	key := token.Thumbprint(proof.key.Thumbprint())
	now := time.Now()
	next, err := d.checkClaims(proof, request, now)
	if err != nil {
		return Proved{}, err
	}
	if !request.Key.IsZero() && !request.Key.Is(key) {
		return Proved{}, fmt.Errorf("%w: the proof is signed with another key than the token's", WrongKey)
	}
	if err := proof.jws.VerifyWith(proof.key, jose.Algorithm(proof.jws.Header.Algorithm)); err != nil {
		return Proved{}, fmt.Errorf("%w: the signature is not that of its jwk", BadProof)
	}
	if err := d.mark(ctx, proof, key, now); err != nil {
		return Proved{}, err
	}
	return Proved{Key: key, NextNonce: next}, nil
}

// errShare says that a key has as many marks as are still free.
var errShare = errors.New("the key has as many used proofs as there is room for others")

// mark uses the proof up. The identifier is of one form: two thirds of it have a
// fixed length.
func (d *DPoP) mark(ctx context.Context, proof *parsed, key token.Thumbprint, now time.Time) error {
	if !d.config.Shares.admits(key, now) {
		return fmt.Errorf("%w: %w", TooMany, errShare)
	}
	target := sha256.Sum256([]byte(proof.url))
	id := slices.Concat(key[:], target[:], []byte(proof.id))
	sum := sha256.Sum256(id)
	// A second more than the proof is good for, so that no rounding leaves a gap.
	until := proof.issued.Add(d.config.Window + time.Second)
	fresh, err := d.config.Marks.Mark(ctx, markPurpose, string(sum[:]), until)
	switch {
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %w", TooMany, err)
	case err != nil:
		return fmt.Errorf("%w: %w", Unchecked, err)
	case !fresh:
		return Replayed
	}
	d.config.Shares.count(key, until)
	return nil
}

// parsed is a proof that nobody has verified yet.
type parsed struct {
	jws    *jose.JWS
	key    *jose.Key
	id     string // jti
	method string // htm
	url    string // htu
	issued time.Time
	token  string // ath
	nonce  string

	// No proof needs these. What its maker bounds by them is bounded (RFC 7519,
	// sections 4.1.4 and 4.1.5); zero where it says nothing.
	expires, notBefore time.Time
}

// parseProof wants exactly one proof, of the right shape.
func parseProof(values []string) (*parsed, error) {
	switch {
	case len(values) == 0:
		return nil, MissingProof
	case len(values) > 1:
		return nil, fmt.Errorf("%w: more than one DPoP header", BadProof)
	case len(values[0]) > MaxProof:
		return nil, fmt.Errorf("%w: longer than %d bytes", BadProof, MaxProof)
	}
	jws, key, err := jose.ParseSelfSigned(values[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", BadProof, err)
	}
	if jws.Header.Type != proofType {
		return nil, fmt.Errorf("%w: typ is not %s", BadProof, proofType)
	}
	claims, err := jose.ReadObject(jws.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: payload: %w", BadProof, err)
	}
	return readClaims(&parsed{jws: jws, key: key}, claims)
}

// readClaims reads the claims of RFC 9449, section 4.2, by their types.
func readClaims(proof *parsed, claims jose.Object) (*parsed, error) {
	for _, claim := range []struct {
		name     string
		to       *string
		longest  int
		optional bool
	}{
		{"jti", &proof.id, maxID, false},
		{"htm", &proof.method, MaxProof, false},
		{"htu", &proof.url, MaxProof, false},
		{"ath", &proof.token, MaxProof, true},
		{"nonce", &proof.nonce, maxNonce, true},
	} {
		text, ok := claims.Text(claim.name)
		if claim.optional && !claims.Has(claim.name) {
			continue
		}
		if !ok || text == "" || len(text) > claim.longest {
			return nil, fmt.Errorf("%w: %s is absent, of a wrong type or of a wrong length", BadProof, claim.name)
		}
		*claim.to = text
	}
	return readDates(proof, claims)
}

func readDates(proof *parsed, claims jose.Object) (*parsed, error) {
	for _, claim := range []struct {
		name     string
		to       *time.Time
		optional bool
	}{{"iat", &proof.issued, false}, {"exp", &proof.expires, true}, {"nbf", &proof.notBefore, true}} {
		if claim.optional && !claims.Has(claim.name) {
			continue
		}
		var ok bool
		if *claim.to, ok = readDate(claims, claim.name); !ok {
			return nil, fmt.Errorf("%w: %s is absent or not a date", BadProof, claim.name)
		}
	}
	return proof, nil
}

// readDate reads a NumericDate (RFC 7519, section 2).
func readDate(claims jose.Object, name string) (time.Time, bool) {
	value, _ := claims.Get(name)
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > farFuture {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))), true
}

// checkClaims compares the proof with the request, in the order of RFC 9449, section
// 4.3, and returns the nonce to offer.
func (d *DPoP) checkClaims(proof *parsed, request Request, now time.Time) (next string, err error) {
	alg := jose.Algorithm(proof.jws.Header.Algorithm)
	switch {
	case !slices.Contains(d.config.Algorithms, alg):
		return "", fmt.Errorf("%w: alg is not accepted", BadProof)
	case !proof.key.Supports(alg):
		return "", fmt.Errorf("%w: jwk does not fit alg", BadProof)
	case proof.method != request.Method:
		return "", fmt.Errorf("%w: htm is another method", BadProof)
	case !sameTarget(proof.url, request.URLs):
		return "", fmt.Errorf("%w: htu is another URL", BadProof)
	case proof.issued.Before(now.Add(-d.config.Window)):
		return "", fmt.Errorf("%w: iat is too long ago", BadProof)
	case proof.issued.After(now.Add(d.config.Leeway)):
		return "", fmt.Errorf("%w: iat lies in the future", BadProof)
	case !proof.expires.IsZero() && !now.Before(proof.expires.Add(d.config.Leeway)):
		return "", fmt.Errorf("%w: exp has passed", BadProof)
	case proof.notBefore.After(now.Add(d.config.Leeway)):
		return "", fmt.Errorf("%w: nbf lies in the future", BadProof)
	case !sameToken(proof.token, request.Token):
		return "", fmt.Errorf("%w: ath is not the hash of the token", BadProof)
	}
	if d.config.Nonces == nil {
		return "", nil
	}
	good, current := d.config.Nonces.Check(proof.nonce)
	switch {
	case !good:
		return "", NonceNeeded
	case !current:
		return d.config.Nonces.Offer(), nil
	default:
		return "", nil
	}
}

// sameToken compares ath with the digest of the token. Without a token there is
// nothing to compare with, and ath does not count.
func sameToken(ath string, digest token.Digest) bool {
	if digest == (token.Digest{}) {
		return true
	}
	want := base64.RawURLEncoding.EncodeToString(digest[:])
	return subtle.ConstantTimeCompare([]byte(ath), []byte(want)) == 1
}
