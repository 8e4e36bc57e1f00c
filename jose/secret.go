package jose

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A secret is the key of an HMAC algorithm. The bytes lie in a closure, where
// nothing that prints, marshals or compares values finds them.
type secret struct {
	size     int // in octets
	identity [sha256.Size]byte
	mac      func(hash crypto.Hash, signed []byte) []byte
}

// salt makes identities of secrets worthless outside this process.
var salt = sync.OnceValue(func() []byte {
	random := make([]byte, sha256.Size)
	_, _ = rand.Read(random) // never fails
	return random
})

func newSecret(octets []byte) *secret {
	made := &secret{size: len(octets), mac: func(hash crypto.Hash, signed []byte) []byte {
		code := hmac.New(hash.New, octets)
		code.Write(signed)
		return code.Sum(nil)
	}}
	code := hmac.New(sha256.New, salt())
	code.Write(octets)
	copy(made.identity[:], code.Sum(nil))
	return made
}

func (s *secret) equal(other *secret) bool {
	if s == nil || other == nil {
		return s == other
	}
	return s.identity == other.identity
}

// ParseSecrets reads a JWK Set with the shared secrets (kty oct) of the given
// HMAC algorithms. It drops every key that is none, that is too short for all of
// the algorithms (RFC 7518, section 3.2: as long as the hash) or that is a public
// key in disguise. It fails as ParseKeySet does. The document is a secret: it
// must come from a file of the operator's and never from a network.
func ParseSecrets(data []byte, accepted []Algorithm) (KeySet, error) {
	members, err := members(data)
	if err != nil {
		return KeySet{}, err
	}
	set := collect(members, func(member []byte) (*Key, error) { return parseSecret(member, accepted) })
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("%w: none of its %d keys is a shared secret for %v%s",
			ErrKeySet, len(members), accepted, firstReason(set.Dropped))
	}
	return set, nil
}

func parseSecret(member []byte, accepted []Algorithm) (*Key, error) {
	parsed, err := jwk.ParseKey(member)
	if err != nil {
		return nil, errors.New("it is not a JWK of a known type")
	}
	symmetric, ok := parsed.(jwk.SymmetricKey)
	if !ok {
		return nil, errors.New("it is not a shared secret (kty oct)")
	}
	if err := checkUse(parsed); err != nil {
		return nil, err
	}
	octets := bytes.Clone(symmetric.Octets())
	if isPublicKey(octets) {
		return nil, errors.New("its secret is the text of a key or certificate, which is no secret")
	}
	key := &Key{id: parsed.KeyID(), secret: newSecret(octets)}
	if name := parsed.Algorithm().String(); name != "" {
		key.algorithm = Algorithm(name)
	}
	if key.algorithm != "" && !slices.Contains(accepted, key.algorithm) {
		return nil, errors.New("its alg is not among the issuer's algorithms")
	}
	if !slices.ContainsFunc(accepted, key.Supports) {
		return nil, errors.New("its secret is shorter than the hash of its algorithm")
	}
	return key, nil
}

// isPublicKey finds the texts under which public keys lie around. An HMAC with
// one of them as its secret is a signature that everybody can make.
func isPublicKey(octets []byte) bool {
	text := bytes.TrimSpace(octets)
	if block, _ := pem.Decode(text); block != nil || bytes.HasPrefix(text, []byte("-----BEGIN")) {
		return true
	}
	if _, err := ParseObject(text); err == nil {
		return true
	}
	for _, parse := range []func([]byte) error{
		func(der []byte) error { _, err := x509.ParsePKIXPublicKey(der); return err },
		func(der []byte) error { _, err := x509.ParsePKCS1PublicKey(der); return err },
		func(der []byte) error { _, err := x509.ParseCertificate(der); return err },
	} {
		if parse(octets) == nil {
			return true
		}
	}
	return false
}
