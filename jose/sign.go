package jose

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ErrSigning is the base of every error of NewSigner and Sign. It never holds
// key material or the payload.
var ErrSigning = errors.New("signing JWS")

// errNotECDSA is what a key's own code is told of that made something else.
var errNotECDSA = errors.New("the key made something that is not an ECDSA signature")

// A Signer makes compact JWS with one private key and one algorithm, which
// travel as a pair (RFC 8725, section 3.1). It is immutable and as safe for
// concurrent use as its key; the keys of the standard library are.
type Signer struct {
	private crypto.Signer
	public  *Key
	alg     Algorithm
	info    algorithmInfo
	size    int      // octets of a signature
	heads   sync.Map // of SignTyped: typ to encoded header. A program has few types
}

// NewSigner pairs a private key with an algorithm. kid goes into each header; ""
// leaves it out. It fails if the key is weak or does not fit the algorithm. The
// key may live elsewhere (a KMS, PKCS#11): only Public and Sign are called.
func NewSigner(key crypto.Signer, alg Algorithm, kid string) (*Signer, error) {
	info, ok := algorithms[alg]
	if !ok {
		return nil, fmt.Errorf("%w: unknown algorithm %q; known are %v", ErrSigning, alg, Asymmetric())
	}
	if key == nil {
		return nil, fmt.Errorf("%w: there is no key", ErrSigning)
	}
	verifying := key.Public()
	public, err := NewKey(verifying, kid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigning, err)
	}
	if !public.Supports(alg) {
		return nil, fmt.Errorf("%w: the key does not fit the algorithm %s", ErrSigning, alg)
	}
	public.algorithm = alg
	return &Signer{private: key, public: public, alg: alg, info: info, size: signatureSize(verifying, info)}, nil
}

// Algorithm is the algorithm of every signature.
func (s *Signer) Algorithm() Algorithm { return s.alg }

// KeyID is the kid of every header, "" if there is none.
func (s *Signer) KeyID() string { return s.public.id }

// Public is the key that verifies what the signer signs.
func (s *Signer) Public() *Key { return s.public }

// Sign returns the compact JWS (RFC 7515, section 7.1) of the payload. The header
// may have any member but those that say how to verify: alg and kid are the
// signer's, crit and b64 would change the meaning of the parts.
func (s *Signer) Sign(header map[string]any, payload []byte) (string, error) {
	full := make(map[string]any, len(header)+2)
	for name, value := range header {
		switch name {
		case "alg", "kid", "crit", "b64":
			return "", fmt.Errorf("%w: a header must not set %s", ErrSigning, name)
		}
		full[name] = value
	}
	full["alg"] = string(s.alg)
	if s.public.id != "" {
		full["kid"] = s.public.id
	}
	head, err := json.Marshal(full)
	if err != nil {
		return "", fmt.Errorf("%w: the header is not JSON: %w", ErrSigning, err)
	}
	return s.sign(base64.RawURLEncoding.EncodeToString(head), payload)
}

// SignTyped is Sign with the header typ and no other. The encoded header is the same
// each time, so it is made once: who signs for each request notices.
func (s *Signer) SignTyped(typ string, payload []byte) (string, error) {
	if head, ok := s.heads.Load(typ); ok {
		return s.sign(head.(string), payload) //nolint:forcetypeassert // nothing else is stored
	}
	text, err := s.Sign(map[string]any{"typ": typ}, payload)
	if err == nil {
		head, _, _ := strings.Cut(text, ".")
		s.heads.Store(typ, strings.Clone(head))
	}
	return text, err
}

// sign signs a payload behind a header that is encoded already.
func (s *Signer) sign(head string, payload []byte) (string, error) {
	encode := base64.RawURLEncoding
	room := len(head) + encode.EncodedLen(len(payload)) + encode.EncodedLen(s.size) + len("..")
	text := append(make([]byte, 0, room), head...)
	text = encode.AppendEncode(append(text, '.'), payload)
	signature, err := s.signature(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSigning, err)
	}
	return string(encode.AppendEncode(append(text, '.'), signature)), nil
}

// signatureSize is how many octets the signatures of a key have.
func signatureSize(public crypto.PublicKey, info algorithmInfo) int {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return public.Size()
	case ed25519.PublicKey:
		return ed25519.SignatureSize
	default:
		return 2 * info.size
	}
}

func (s *Signer) signature(signed []byte) ([]byte, error) {
	digest, options := signed, crypto.SignerOpts(s.info.hash)
	if s.info.hash != 0 {
		h := s.info.hash.New()
		h.Write(signed)
		digest = h.Sum(nil)
	}
	if s.info.family == familyPSS {
		// RFC 7518, section 3.5: the salt is as long as the hash.
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.info.hash}
	}
	signature, err := s.private.Sign(rand.Reader, digest, options)
	if err != nil || s.info.family != familyEC {
		return signature, err
	}
	return fixedSize(signature, s.info.size)
}

// fixedSize turns the ASN.1 that every crypto.Signer makes for ECDSA into the
// two integers of fixed size that JWS wants (RFC 7518, section 3.4).
func fixedSize(der []byte, size int) ([]byte, error) {
	var pair, r, s cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&pair, asn1.SEQUENCE) || !input.Empty() ||
		!pair.ReadASN1(&r, asn1.INTEGER) || !pair.ReadASN1(&s, asn1.INTEGER) || !pair.Empty() {
		return nil, errNotECDSA
	}
	signature := make([]byte, 2*size)
	if !fillInteger(signature[:size], r) || !fillInteger(signature[size:], s) {
		return nil, errNotECDSA
	}
	return signature, nil
}

// fillInteger writes a positive DER integer (X.690, section 8.3) to the right end of
// room. It reads the bytes alone: an integer made of them costs memory each time.
func fillInteger(room, integer []byte) bool {
	if len(integer) == 0 || integer[0] >= 0x80 {
		return false // nothing, or negative
	}
	digits := bytes.TrimLeft(integer, "\x00")
	if len(digits) == 0 || len(digits) > len(room) {
		return false
	}
	copy(room[len(room)-len(digits):], digits)
	return true
}

// DefaultAlgorithm is the algorithm that a private key signs with where nothing
// names one: the curve's own for EC and Ed25519, RS256 for RSA, which every
// server knows. It fails for keys that sign with none of ours.
func DefaultAlgorithm(key crypto.Signer) (Algorithm, error) {
	public, err := NewKey(key.Public(), "")
	if err != nil {
		return "", err
	}
	for _, alg := range []Algorithm{RS256, ES256, ES384, ES512, EdDSA} {
		if public.Supports(alg) {
			return alg, nil
		}
	}
	return "", errors.New("key of a curve that no signature algorithm uses")
}
