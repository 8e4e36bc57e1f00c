package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/x25519"
)

// ErrPrivateKey is the base of every error about a private key. It never holds
// key material.
var ErrPrivateKey = errors.New("reading private key")

// A PrivateKey is a key that signs, and what its file says of it.
type PrivateKey struct {
	Signer    crypto.Signer
	ID        string    // kid, "" if unsaid, as in each PEM file
	Algorithm Algorithm // "" if unsaid, as in each PEM file; see DefaultAlgorithm
}

// ParsePrivateKey reads the key file of a signer: one JWK with its private
// members (RFC 7517), or PEM with one private key (PKCS #8, PKCS #1 or SEC 1; a
// certificate beside it is passed over). Weak keys, keys for encryption and pairs
// whose halves do not belong together are refused.
func ParsePrivateKey(pemOrJWK []byte) (PrivateKey, error) {
	read, err := readPrivate(pemOrJWK, "sig", "sign")
	if err != nil {
		return PrivateKey{}, err
	}
	key := PrivateKey{ID: read.id}
	if read.alg != "" {
		if key.Algorithm, err = ParseAlgorithm(read.alg); err != nil {
			return PrivateKey{}, fmt.Errorf("%w: %w", ErrPrivateKey, err)
		}
	}
	signer, ok := read.private.(crypto.Signer)
	if !ok {
		return PrivateKey{}, fmt.Errorf("%w: a key of its type cannot sign", ErrPrivateKey)
	}
	public, err := NewKey(signer.Public(), read.id)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	if key.Algorithm != "" && !public.Supports(key.Algorithm) {
		return PrivateKey{}, fmt.Errorf("%w: its alg does not fit its type", ErrPrivateKey)
	}
	key.Signer = signer
	return key, nil
}

// A privateFile is a private key as a file holds it, of any kind.
type privateFile struct {
	private crypto.PrivateKey
	id      string
	alg     string
}

// readPrivate reads a key whose use and key_ops, where it has them, allow what
// it is for (RFC 7517, sections 4.2 and 4.3).
func readPrivate(data []byte, use string, operations ...jwk.KeyOperation) (privateFile, error) {
	var read privateFile
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		read, err = readPrivateJWK(data, use, operations)
	} else {
		read.private, err = readPrivatePEM(data)
	}
	if err == nil {
		err = consistent(read.private)
	}
	if err != nil {
		return privateFile{}, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	return read, nil
}

func readPrivateJWK(data []byte, use string, operations []jwk.KeyOperation) (privateFile, error) {
	if _, err := ReadObject(data); err != nil {
		return privateFile{}, err
	}
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return privateFile{}, errors.New("it is not a JWK of a known type")
	}
	switch parsed.(type) {
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
	default:
		return privateFile{}, errors.New("it is not a private key")
	}
	if said := parsed.KeyUsage(); said != "" && said != use {
		return privateFile{}, fmt.Errorf("its use is not %s", use)
	}
	allowed := func(operation jwk.KeyOperation) bool { return slices.Contains(operations, operation) }
	if said := parsed.KeyOps(); len(said) > 0 && !slices.ContainsFunc(said, allowed) {
		return privateFile{}, fmt.Errorf("its key_ops lack %s", operations[0])
	}
	read := privateFile{id: parsed.KeyID(), alg: parsed.Algorithm().String()}
	if len(read.id) > maxKeyID {
		return privateFile{}, errors.New("its kid is too long")
	}
	if err := parsed.Raw(&read.private); err != nil {
		return privateFile{}, errors.New("its numbers are not a key")
	}
	if own, ok := read.private.(x25519.PrivateKey); ok {
		read.private, err = x25519Key(own)
	}
	return read, err
}

// x25519Key takes the key of the JOSE library over into the standard library's.
func x25519Key(own x25519.PrivateKey) (*ecdh.PrivateKey, error) {
	key, err := ecdh.X25519().NewPrivateKey(own.Seed())
	if err != nil || !bytes.Equal(key.PublicKey().Bytes(), own[len(own)-x25519.PublicKeySize:]) {
		return nil, errors.New("its public half does not belong to its private half")
	}
	return key, nil
}

func readPrivatePEM(data []byte) (crypto.PrivateKey, error) {
	var found crypto.PrivateKey
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key, err := parsePrivateBlock(block)
		switch {
		case err != nil:
			return nil, err
		case key != nil && found != nil:
			return nil, errors.New("the file holds more than one private key")
		case key != nil:
			found = key
		}
	}
	if found == nil {
		return nil, errors.New("the file holds neither a private JWK nor a private key in PEM")
	}
	return found, nil
}

// parsePrivateBlock returns nil for a block that is not a private key.
func parsePrivateBlock(block *pem.Block) (key crypto.PrivateKey, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the private key is encrypted with a passphrase; decrypt the file")
	default:
		return nil, nil //nolint:nilnil // not a private key, and no fault
	}
	if err != nil {
		return nil, errors.New("the PEM block is not a private key, or is encrypted with a passphrase")
	}
	return key, nil
}

// consistent refuses a pair whose public half is another key's: signing with such
// a pair can give the private half away (Ed25519 with a foreign public key does).
func consistent(private crypto.PrivateKey) error {
	foreign := errors.New("its public half does not belong to its private half")
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if err := usable(&key.PublicKey); err != nil {
			return err
		}
		if key.Validate() != nil {
			return foreign
		}
		key.Precompute()
	case *ecdsa.PrivateKey:
		scalar, err := key.Bytes()
		if err != nil {
			return foreign
		}
		same, err := ecdsa.ParseRawPrivateKey(key.Curve, scalar)
		if err != nil || !same.PublicKey.Equal(&key.PublicKey) {
			return foreign
		}
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize || !ed25519.NewKeyFromSeed(key.Seed()).Equal(key) {
			return foreign
		}
	case *ecdh.PrivateKey:
	default:
		return errors.New("a key of its type is of no use here")
	}
	return nil
}
