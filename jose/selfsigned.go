package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// ErrEmbeddedKey says that a header's jwk is not a public key that may verify. It
// never quotes the header.
var ErrEmbeddedKey = errors.New("reading embedded key")

// ParseSelfSigned parses a compact JWS as ParseJWS does and reads the key in its
// jwk header (RFC 7515, section 4.1.3). The signature is not checked yet.
//
// Such a JWS proves that its maker holds that key, and nothing else: it is for
// proofs of possession (RFC 9449), where the key's thumbprint is then compared
// with one that somebody vouched for. Never read a token with it.
func ParseSelfSigned(compact string) (*JWS, *Key, error) {
	jws, err := ParseJWS(compact)
	if err != nil {
		return nil, nil, err
	}
	head, _, _ := strings.Cut(compact, ".")
	data, err := decodePart(head)
	if err != nil {
		return nil, nil, err
	}
	members, err := ReadObject(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	text, ok := members.find("jwk")
	if !ok {
		return nil, nil, fmt.Errorf("%w: there is no jwk", ErrEmbeddedKey)
	}
	key, err := readPublicJWK(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEmbeddedKey, err)
	}
	return jws, key, nil
}

// privateMembers are those of RFC 7518, section 6, that no public key has.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// readPublicJWK reads a key that a stranger sent. It does not use the JOSE library:
// this is a dozen lines, and certificates or types of tomorrow have no place here.
func readPublicJWK(text string) (*Key, error) {
	members, err := ReadObject([]byte(text))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(privateMembers, members.Has) {
		return nil, errors.New("it holds a private member, which whoever sent it must replace")
	}
	if use, _ := members.Text("use"); members.Has("use") && use != "sig" {
		return nil, errors.New("its use is not sig")
	}
	public, err := publicKey(members)
	if err != nil {
		return nil, err
	}
	key, err := NewKey(public, "")
	if err != nil {
		return nil, err
	}
	if alg, _ := members.Text("alg"); members.Has("alg") {
		key.algorithm = Algorithm(alg)
		if !key.Supports(key.algorithm) {
			return nil, errors.New("its alg does not fit its type")
		}
	}
	return key, nil
}

// publicKey reads the members of RFC 7518, sections 6.2 and 6.3, and of RFC 8037,
// section 2.
func publicKey(members Object) (crypto.PublicKey, error) {
	kind, _ := members.Text("kty")
	curve, _ := members.Text("crv")
	switch {
	case kind == "EC":
		return ecPublicKey(members, curve)
	case kind == "RSA":
		return rsaPublicKey(members)
	case kind == "OKP" && curve == "Ed25519":
		x, err := octets(members, "x", ed25519.PublicKeySize)
		return ed25519.PublicKey(x), err
	default:
		return nil, errors.New("it is of an unknown type")
	}
}

func ecPublicKey(members Object, name string) (crypto.PublicKey, error) {
	curve, ok := map[string]elliptic.Curve{
		"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
	}[name]
	if !ok {
		return nil, errors.New("it is on an unknown curve")
	}
	point, err := uncompressed(members, (curve.Params().BitSize+7)/8)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("its point is not on its curve")
	}
	return key, nil
}

// uncompressed is the point of the members x and y (SEC 1, section 2.3.3), whose
// lengths are fixed (RFC 7518, section 6.2.1.2).
func uncompressed(members Object, size int) ([]byte, error) {
	x, err := octets(members, "x", size)
	if err != nil {
		return nil, err
	}
	y, err := octets(members, "y", size)
	if err != nil {
		return nil, err
	}
	return append(append(append(make([]byte, 0, 1+2*size), 4), x...), y...), nil
}

func rsaPublicKey(members Object) (crypto.PublicKey, error) {
	modulus, err := octets(members, "n", 0)
	if err != nil {
		return nil, err
	}
	exponent, err := octets(members, "e", 0)
	if err != nil {
		return nil, err
	}
	// An exponent above 32 bits makes each check slow and no key stronger; a
	// leading zero would give one key two spellings (RFC 7518, section 2).
	if len(modulus) > maxRSABits/8 || len(exponent) > 4 || modulus[0] == 0 || exponent[0] == 0 {
		return nil, errors.New("its numbers are not a key")
	}
	e := new(big.Int).SetBytes(exponent).Int64()
	if e > 1<<31-1 {
		return nil, errors.New("its numbers are not a key")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e)}, nil
}

// octets decodes a member of exactly size octets, or of any number but zero where
// size is 0.
func octets(members Object, name string, size int) ([]byte, error) {
	text, ok := members.Text(name)
	if !ok {
		return nil, fmt.Errorf("its %s is not a text", name)
	}
	data, err := decodePart(text)
	if err != nil || (size > 0 && len(data) != size) {
		return nil, fmt.Errorf("its %s is not base64url of the right length", name)
	}
	return data, nil
}
