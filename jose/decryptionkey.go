package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A DecryptionKey opens encrypted tokens in the ways that it was made for; key and
// ways travel together. It is immutable.
type DecryptionKey struct {
	id    string
	ways  []KeyManagement
	rsa   *rsa.PrivateKey
	ecdh  *ecdh.PrivateKey
	curve string // crv of an epk that fits
}

// ParseDecryptionKey reads the key file of a recipient, in the forms of
// ParsePrivateKey, and the ways it may be used in. None means those that the file
// names (alg) or else all that fit its type. Weak keys, keys for signing and ways that
// do not fit are refused.
func ParseDecryptionKey(pemOrJWK []byte, ways ...KeyManagement) (*DecryptionKey, error) {
	read, err := readPrivate(pemOrJWK, "enc", jwk.KeyOpDecrypt, jwk.KeyOpUnwrapKey, jwk.KeyOpDeriveKey, jwk.KeyOpDeriveBits)
	if err != nil {
		return nil, err
	}
	key := &DecryptionKey{id: read.id}
	if err := key.take(read.private); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	if read.alg != "" {
		said, err := ParseKeyManagement(read.alg)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
		}
		if slices.ContainsFunc(ways, func(way KeyManagement) bool { return way != said }) {
			return nil, fmt.Errorf("%w: its alg is %s alone", ErrPrivateKey, said)
		}
		ways = []KeyManagement{said}
	}
	fitting := slices.DeleteFunc(KeyManagements(), func(way KeyManagement) bool { return !key.can(way) })
	if len(ways) == 0 {
		ways = fitting
	}
	for _, way := range ways {
		if !key.can(way) {
			return nil, fmt.Errorf("%w: %q does not fit its type, which takes %v", ErrPrivateKey, way, fitting)
		}
	}
	key.ways = slices.Clone(ways)
	return key, nil
}

// ID is the key's kid, "" if it has none.
func (k *DecryptionKey) ID() string { return k.id }

// public is the public half, as octets.
func (k *DecryptionKey) public() []byte {
	if k.rsa != nil {
		return append(k.rsa.N.Bytes(), []byte(strconv.Itoa(k.rsa.E))...)
	}
	return append([]byte(k.curve), k.ecdh.PublicKey().Bytes()...)
}

// take keeps a key of a type that can decrypt.
func (k *DecryptionKey) take(private crypto.PrivateKey) error {
	var err error
	switch private := private.(type) {
	case *rsa.PrivateKey:
		k.rsa = private
	case *ecdsa.PrivateKey:
		k.curve = private.Curve.Params().Name
		if k.ecdh, err = private.ECDH(); err != nil {
			return errors.New("it is on a curve that is not for key agreement")
		}
	case *ecdh.PrivateKey:
		k.ecdh, k.curve = private, "X25519"
		if private.Curve() != ecdh.X25519() {
			return errors.New("it is on an unknown curve")
		}
	default:
		return errors.New("a key of its type cannot decrypt: RSA, P-256, P-384, P-521 and X25519 can")
	}
	return nil
}

// can tells whether the key's type fits a way.
func (k *DecryptionKey) can(way KeyManagement) bool {
	_, agreement := wrapSizes[way]
	return agreement && k.ecdh != nil || way == RSAOAEP256 && k.rsa != nil
}

// fits tells whether the key may open the envelope: a kid chooses it, and without one,
// on either side, its ways do.
func (k *DecryptionKey) fits(e *envelope) bool {
	return slices.Contains(k.ways, e.way) && (e.id == "" || k.id == "" || e.id == k.id)
}

// contentKey finds the key of the content. If it cannot be unwrapped a random one takes
// its place, so that the answer, and the time until it comes, is that of a wrong tag
// (RFC 7516, section 11.5). ok is false only for what everyone can see in the text.
func (k *DecryptionKey) contentKey(e *envelope) (key []byte, ok bool) {
	if e.way == RSAOAEP256 {
		if len(e.wrapped) != k.rsa.Size() {
			return nil, false
		}
		key, err := rsa.DecryptOAEP(sha256.New(), nil, k.rsa, e.wrapped, nil)
		return orRandom(key, err == nil, e.size), true
	}
	shared, ok := k.agree(e.ephemeral)
	if !ok {
		return nil, false
	}
	wrapping := wrapSizes[e.way]
	if wrapping == 0 {
		return deriveKey(shared, e.encryption, e.partyU, e.partyV, e.size), true
	}
	if len(e.wrapped) != e.size+8 {
		return nil, false
	}
	key, ok = unwrapKey(deriveKey(shared, string(e.way), e.partyU, e.partyV, wrapping), e.wrapped)
	return orRandom(key, ok, e.size), true
}

// orRandom replaces a key that is none.
func orRandom(key []byte, ok bool, size int) []byte {
	other := make([]byte, size)
	rand.Read(other)
	if !ok || len(key) != size {
		return other
	}
	return key
}

// agree makes the shared secret with the sender's key. A point that is not on the curve
// would draw the private key out, bit by bit: crypto/ecdh refuses it.
func (k *DecryptionKey) agree(ephemeral Object) ([]byte, bool) {
	if ephemeral.Has("d") {
		return nil, false
	}
	kind, _ := ephemeral.Text("kty")
	curve, _ := ephemeral.Text("crv")
	if curve != k.curve || kind != map[bool]string{true: "OKP", false: "EC"}[strings.HasPrefix(curve, "X")] {
		return nil, false
	}
	var point []byte
	var err error
	if kind == "OKP" {
		point, err = octets(ephemeral, "x", 32)
	} else {
		point, err = uncompressed(ephemeral, (len(k.ecdh.PublicKey().Bytes())-1)/2)
	}
	if err != nil {
		return nil, false
	}
	public, err := k.ecdh.Curve().NewPublicKey(point)
	if err != nil {
		return nil, false
	}
	shared, err := k.ecdh.ECDH(public)
	return shared, err == nil
}
