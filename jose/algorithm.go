package jose

import (
	"crypto"
	_ "crypto/sha256" // SHA-256 for the hash table below
	_ "crypto/sha512" // SHA-384 and SHA-512, likewise
	"fmt"
)

// Algorithm is a JWS signature algorithm by its registered name (RFC 7518,
// section 3.1; RFC 8037; RFC 9864).
type Algorithm string

// The signature algorithms that the gateway knows. There is no "none". The HMAC
// algorithms (HS*) are a world of their own: their keys are secrets and come from
// ParseSecrets alone, never from a set that the world can read.
const (
	HS256   Algorithm = "HS256"
	HS384   Algorithm = "HS384"
	HS512   Algorithm = "HS512"
	RS256   Algorithm = "RS256"
	RS384   Algorithm = "RS384"
	RS512   Algorithm = "RS512"
	PS256   Algorithm = "PS256"
	PS384   Algorithm = "PS384"
	PS512   Algorithm = "PS512"
	ES256   Algorithm = "ES256"
	ES384   Algorithm = "ES384"
	ES512   Algorithm = "ES512"
	EdDSA   Algorithm = "EdDSA"
	Ed25519 Algorithm = "Ed25519"
)

type family int

const (
	familyRSA family = iota + 1
	familyPSS
	familyEC
	familyEd
	familyHMAC
)

type algorithmInfo struct {
	family family
	hash   crypto.Hash
	curve  string
	size   int // octets of one half of an ECDSA signature
}

var algorithms = map[Algorithm]algorithmInfo{
	RS256:   {family: familyRSA, hash: crypto.SHA256},
	RS384:   {family: familyRSA, hash: crypto.SHA384},
	RS512:   {family: familyRSA, hash: crypto.SHA512},
	PS256:   {family: familyPSS, hash: crypto.SHA256},
	PS384:   {family: familyPSS, hash: crypto.SHA384},
	PS512:   {family: familyPSS, hash: crypto.SHA512},
	ES256:   {family: familyEC, hash: crypto.SHA256, curve: "P-256", size: 32},
	ES384:   {family: familyEC, hash: crypto.SHA384, curve: "P-384", size: 48},
	ES512:   {family: familyEC, hash: crypto.SHA512, curve: "P-521", size: 66},
	EdDSA:   {family: familyEd},
	Ed25519: {family: familyEd},
	HS256:   {family: familyHMAC, hash: crypto.SHA256},
	HS384:   {family: familyHMAC, hash: crypto.SHA384},
	HS512:   {family: familyHMAC, hash: crypto.SHA512},
}

// Asymmetric returns every algorithm whose verification key may be public, in a
// fixed order: the default of an issuer.
func Asymmetric() []Algorithm {
	return []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519}
}

// Symmetric returns every algorithm whose key both signs and verifies, and is
// therefore a secret.
func Symmetric() []Algorithm { return []Algorithm{HS256, HS384, HS512} }

// IsSymmetric tells whether the algorithm's key is a shared secret.
func (a Algorithm) IsSymmetric() bool { return algorithms[a].family == familyHMAC }

// ParseAlgorithm returns the algorithm of that registered name. Names are
// case-sensitive (RFC 7515, section 4.1.1).
func ParseAlgorithm(name string) (Algorithm, error) {
	if _, ok := algorithms[Algorithm(name)]; !ok {
		return "", fmt.Errorf("unknown signature algorithm %q; known are %v and %v", name, Asymmetric(), Symmetric())
	}
	return Algorithm(name), nil
}
