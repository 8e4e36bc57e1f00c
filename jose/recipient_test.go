package jose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/x25519"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// inner is a JWS as far as decryption cares.
const inner = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"

// A recipient is a key pair: the file that the gateway reads, and the public key that
// the JOSE library encrypts to, so that two implementations meet.
type recipient struct {
	file   []byte
	public any
}

func newRecipient(tb testing.TB, kind string) recipient {
	tb.Helper()
	var private, public any
	switch kind {
	case "RSA":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			tb.Fatal(err)
		}
		private, public = key, key.Public()
	case "X25519":
		half, key, err := x25519.GenerateKey(rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		private, public = key, half
	default:
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[kind]
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		private, public = key, key.Public()
	}
	member, err := jwk.FromRaw(private)
	if err != nil {
		tb.Fatal(err)
	}
	file, err := json.Marshal(member)
	if err != nil {
		tb.Fatal(err)
	}
	return recipient{file: file, public: public}
}

// with adds members to the key file.
func (r recipient) with(tb testing.TB, changes map[string]any) []byte {
	tb.Helper()
	members, err := jose.ParseObject(r.file)
	if err != nil {
		tb.Fatal(err)
	}
	maps.Copy(members, changes)
	return tokentest.JSON(members)
}

func (r recipient) encrypt(tb testing.TB, alg jwa.KeyEncryptionAlgorithm, enc jwa.ContentEncryptionAlgorithm, header map[string]any, options ...jwe.EncryptOption) string {
	tb.Helper()
	headers := jwe.NewHeaders()
	for name, value := range header {
		if err := headers.Set(name, value); err != nil {
			tb.Fatal(err)
		}
	}
	options = append(options, jwe.WithKey(alg, r.public), jwe.WithContentEncryption(enc), jwe.WithProtectedHeaders(headers))
	text, err := jwe.Encrypt([]byte(inner), options...)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func (r recipient) decrypter(tb testing.TB, ways ...jose.KeyManagement) *jose.Decrypter {
	tb.Helper()
	return decrypter(tb, r.key(tb, ways...))
}

func (r recipient) key(tb testing.TB, ways ...jose.KeyManagement) *jose.DecryptionKey {
	tb.Helper()
	key, err := jose.ParseDecryptionKey(r.file, ways...)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func decrypter(tb testing.TB, keys ...*jose.DecryptionKey) *jose.Decrypter {
	tb.Helper()
	made, err := jose.NewDecrypter(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return made
}
