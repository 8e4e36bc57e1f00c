package signing

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// rsaBits is the size of an RSA key that signs; see RFC 7518, section 3.3.
const rsaBits = 2048

// A key is one of the gateway's keys, with its private part until that is erased.
// It is immutable.
type key struct {
	purpose Purpose
	id      string // its RFC 7638 thumbprint, the same on every node without talk
	alg     jose.Algorithm
	public  *jose.Key
	signer  *jose.Signer // nil once the private part is erased
	private []byte       // PKCS #8, nil likewise

	created time.Time
	// from is when it begins to sign. It does so until another key of its purpose
	// begins.
	from time.Time
	// gone is when it leaves the published set, zero while it may sign.
	gone time.Time
}

// generate makes a key. Its times are the caller's to set. A kid that begins with a hyphen,
// as one thumbprint of 64 does, is none: a command would take it for an option, on the day
// on which the key must be retired at once.
func generate(purpose Purpose, alg jose.Algorithm) (*key, error) {
	for {
		private, err := generatePrivate(alg)
		if err != nil {
			return nil, err
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return nil, fmt.Errorf("making a key for %s: %w", alg, err)
		}
		made := &key{purpose: purpose, alg: alg, private: encoded}
		if err := made.pair(private); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(made.id, "-") {
			return made, nil
		}
	}
}

func generatePrivate(alg jose.Algorithm) (private crypto.Signer, err error) {
	switch alg {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA, jose.Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case jose.RS256, jose.PS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("making a key: the gateway does not sign with %s", alg)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", alg, err)
	}
	return private, nil
}

// pair gives the key its signer.
func (k *key) pair(private crypto.Signer) error {
	public, err := jose.NewKey(private.Public(), "")
	if err != nil {
		return err
	}
	k.id = kidOf(public)
	if k.signer, err = jose.NewSigner(private, k.alg, k.id); err != nil {
		return err
	}
	k.public = k.signer.Public()
	return nil
}

var errPrivate = errors.New("the private part is not a key that signs")

// unpack gives the key its signer from PKCS #8. It must be the private part of
// this very key.
func (k *key) unpack(encoded []byte) error {
	parsed, err := x509.ParsePKCS8PrivateKey(encoded)
	private, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return errPrivate
	}
	id, public := k.id, k.public
	if err := k.pair(private); err != nil || k.id != id {
		return errPrivate
	}
	k.public, k.private = public, encoded
	return nil
}

func kidOf(public *jose.Key) string {
	thumbprint := public.Thumbprint()
	return base64.RawURLEncoding.EncodeToString(thumbprint[:])
}

// starting is the key as it is made now, to sign after the lead.
func (k *key) starting(now time.Time, lead time.Duration) *key {
	copied := *k
	copied.created, copied.from = now, now.Add(lead)
	return &copied
}

// erased is the key without its private part, to be published until then.
func (k *key) erased(gone time.Time) *key {
	copied := *k
	copied.signer, copied.private, copied.gone = nil, nil, gone
	return &copied
}

// A set is every key of every purpose at one moment. It is immutable.
type set struct {
	serial uint64 // counts the writes
	keys   []*key // in the order in which they begin to sign
}

// newSet makes a set of keys.
func newSet(serial uint64, keys []*key) *set {
	slices.SortStableFunc(keys, func(a, b *key) int {
		return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.id, b.id))
	})
	return &set{serial: serial, keys: keys}
}

// find returns the key with that kid, nil if there is none.
func (s *set) find(kid string) *key {
	for _, k := range s.keys {
		if k.id == kid {
			return k
		}
	}
	return nil
}

// newest returns the key of a purpose that signs last, nil if there is none.
func (s *set) newest(purpose Purpose) *key {
	for _, k := range slices.Backward(s.keys) {
		if k.purpose == purpose && k.signer != nil {
			return k
		}
	}
	return nil
}

// adopt takes over the public keys of an earlier set: tokens that they verified
// stay remembered as long as the very key is held. It belongs to reading, before
// anybody else sees the set.
func (s *set) adopt(earlier *set) {
	for _, k := range s.keys {
		if same := earlier.find(k.id); same != nil && same.public.Equal(k.public) {
			k.public = same.public
		}
	}
}
