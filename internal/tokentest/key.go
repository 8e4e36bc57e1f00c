// Package tokentest makes keys, tokens and an issuer for tests. It writes tokens
// byte by byte, so that tests can write wrong ones; nothing of it checks
// anything.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"
)

// A Key signs tokens for tests.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
}

// NewKey makes a key for one of ES256, RS256, PS256 and EdDSA.
func NewKey(tb testing.TB, algorithm, id string) *Key {
	tb.Helper()
	key := &Key{ID: id, Algorithm: algorithm}
	var err error
	switch algorithm {
	case "ES256":
		key.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256", "PS256":
		key.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, key.Private, err = ed25519.GenerateKey(rand.Reader)
	default:
		tb.Fatalf("no test key for algorithm %s", algorithm)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// JWK is the public key as a member of a JWK Set.
func (k *Key) JWK() map[string]any {
	member := map[string]any{"use": "sig", "alg": k.Algorithm}
	if k.ID != "" {
		member["kid"] = k.ID
	}
	switch public := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		size := (len(point) - 1) / 2
		member["kty"], member["crv"] = "EC", public.Curve.Params().Name
		member["x"], member["y"] = Encode(point[1:1+size]), Encode(point[1+size:])
	case *rsa.PublicKey:
		member["kty"], member["n"] = "RSA", Encode(public.N.Bytes())
		member["e"] = Encode(big.NewInt(int64(public.E)).Bytes())
	case ed25519.PublicKey:
		member["kty"], member["crv"], member["x"] = "OKP", "Ed25519", Encode(public)
	}
	return member
}

// Set is a JWK Set of the public keys.
func Set(keys ...*Key) []byte {
	members := make([]any, 0, len(keys))
	for _, key := range keys {
		members = append(members, key.JWK())
	}
	return JSON(map[string]any{"keys": members})
}

// Sign signs claims. Members of header replace those that a good header has
// (alg, kid, typ); a nil one leaves the member out.
func (k *Key) Sign(header, claims map[string]any) string {
	full := map[string]any{"alg": k.Algorithm, "typ": "at+jwt"}
	if k.ID != "" {
		full["kid"] = k.ID
	}
	for name, value := range header {
		full[name] = value
		if value == nil {
			delete(full, name)
		}
	}
	return k.SignRaw(JSON(full), JSON(claims))
}

// SignRaw signs a header and a payload as they are.
func (k *Key) SignRaw(header, payload []byte) string {
	signed := Encode(header) + "." + Encode(payload)
	return signed + "." + Encode(k.signature([]byte(signed)))
}

func (k *Key) signature(signed []byte) []byte {
	sum := sha256.Sum256(signed)
	digest, options := sum[:], crypto.SignerOpts(crypto.SHA256)
	switch k.Algorithm {
	case "EdDSA":
		digest, options = signed, crypto.Hash(0)
	case "PS256":
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	case "ES256":
		return k.ecdsa(digest)
	}
	signature, err := k.Private.Sign(rand.Reader, digest, options)
	if err != nil {
		panic(err)
	}
	return signature
}

func (k *Key) ecdsa(digest []byte) []byte {
	private, ok := k.Private.(*ecdsa.PrivateKey)
	if !ok {
		panic("an ES256 key that is not one")
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, digest)
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature
}

// HS256 signs with a shared secret, whatever the header says.
func HS256(secret []byte, header, claims map[string]any) string {
	signed := Encode(JSON(header)) + "." + Encode(JSON(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + Encode(mac.Sum(nil))
}

// Encode is base64url without padding.
func Encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// JSON marshals what a test wrote.
func JSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// Decode reads base64url without padding.
func Decode(tb testing.TB, text string) []byte {
	tb.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
