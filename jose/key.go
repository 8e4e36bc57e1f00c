package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// ErrSignature says that a signature does not belong to the key and the text.
var ErrSignature = errors.New("verifying signature")

// Bounds of RSA keys: below 2048 bits a key can be broken (RFC 7518, section
// 3.3), far above it each check becomes a way to burn the gateway's time.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// A Key verifies signatures. It is immutable, and its address is its identity: a
// remembered token is good while the key set still holds this very key.
type Key struct {
	id         string
	algorithm  Algorithm // "" where the key does not say
	public     crypto.PublicKey
	secret     *secret // of an HMAC key, which has no public half
	thumbprint [32]byte
	relayed    bool
}

// RelayedMember is the member of a JWK by which a gateway marks a key that is not
// its own but a peer's. It is ignored by whoever does not know it (RFC 7517,
// section 4).
const RelayedMember = "gatehouse_relayed"

// Relayed tells whether whoever published the key marked it as a peer's. A gateway
// takes no such keys over from its peers: two gateways would otherwise hand each
// other a retired key for ever.
func (k *Key) Relayed() bool { return k.relayed }

// Algorithm is the algorithm that the key names, "" if it names none.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// ID is the key's `kid`, "" if it has none.
func (k *Key) ID() string { return k.id }

// Thumbprint is the SHA-256 thumbprint of the public key (RFC 7638), all zeros for
// a shared secret: the hash of a secret would let everybody who sees it try
// guesses (RFC 7638, section 7).
func (k *Key) Thumbprint() [32]byte { return k.thumbprint }

// Supports tells whether the key can check signatures of that algorithm: the
// type, the curve and, if the key names one, the algorithm must fit.
func (k *Key) Supports(alg Algorithm) bool {
	if k.algorithm != "" && canonical(k.algorithm) != canonical(alg) {
		return false
	}
	info, ok := algorithms[alg]
	if !ok {
		return false
	}
	if k.secret != nil || info.family == familyHMAC {
		// Neither half of the world ever serves in the other's place: a public key
		// taken for a secret is the oldest forgery of all (RFC 8725, section 2.1).
		return k.secret != nil && info.family == familyHMAC && k.secret.size >= info.hash.Size()
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return info.family == familyRSA || info.family == familyPSS
	case *ecdsa.PublicKey:
		return info.family == familyEC && public.Curve.Params().Name == info.curve
	case ed25519.PublicKey:
		return info.family == familyEd
	default:
		return false
	}
}

// canonical folds EdDSA into Ed25519: RFC 9864 renamed what is one algorithm
// here, and servers use either name.
func canonical(alg Algorithm) Algorithm {
	if alg == EdDSA {
		return Ed25519
	}
	return alg
}

// Verify checks the signature of the signed text. It returns an error that wraps
// ErrSignature if the key does not support the algorithm or the signature is not
// good.
func (k *Key) Verify(alg Algorithm, signed, signature []byte) error {
	if !k.Supports(alg) {
		return fmt.Errorf("%w: the key does not fit the algorithm", ErrSignature)
	}
	info := algorithms[alg]
	if k.secret != nil {
		if !hmac.Equal(k.secret.mac(info.hash, signed), signature) {
			return ErrSignature
		}
		return nil
	}
	digest := signed
	if info.hash != 0 {
		h := info.hash.New()
		h.Write(signed)
		digest = h.Sum(nil)
	}
	if !verifyDigest(k.public, info, digest, signature) {
		return ErrSignature
	}
	return nil
}

func verifyDigest(public crypto.PublicKey, info algorithmInfo, digest, signature []byte) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if info.family == familyRSA {
			return rsa.VerifyPKCS1v15(key, info.hash, digest, signature) == nil
		}
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(key, info.hash, digest, signature, options) == nil
	case *ecdsa.PublicKey:
		// RFC 7518, section 3.4: two integers of fixed size, nothing else.
		if len(signature) != 2*info.size {
			return false
		}
		r := new(big.Int).SetBytes(signature[:info.size])
		s := new(big.Int).SetBytes(signature[info.size:])
		return ecdsa.Verify(key, digest, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(key, digest, signature)
	default:
		return false
	}
}

// usable refuses keys that are weak or of a kind that cannot verify.
func usable(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key of %d bits; between %d and %d are accepted", bits, minRSABits, maxRSABits)
		}
		if key.E < 3 || key.E%2 == 0 {
			return errors.New("RSA key with a weak exponent")
		}
		return nil
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return errors.New("EC key whose point is not on its curve")
		}
		return nil
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return errors.New("Ed25519 key of a wrong size")
		}
		return nil
	default:
		return errors.New("key of a type that cannot verify signatures")
	}
}

// Equal tells whether two keys are the same key with the same kid and algorithm.
func (k *Key) Equal(other *Key) bool {
	return k.id == other.id && k.algorithm == other.algorithm && k.thumbprint == other.thumbprint &&
		k.relayed == other.relayed && k.secret.equal(other.secret)
}
