package jose_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

func privatePEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// The key of RFC 7517, appendix A.2.
const ecJWK = `{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256",
	"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
	"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
	"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`

func TestParsePrivateKey(t *testing.T) {
	ec, ok := generate(t, jose.ES384).(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("not an EC key")
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	rsaPrivate, ok := generate(t, jose.RS256).(*rsa.PrivateKey)
	if !ok {
		t.Fatal("not an RSA key")
	}
	for name, test := range map[string]struct {
		file string
		want jose.PrivateKey // without the key
		alg  jose.Algorithm
	}{
		"JWK":         {ecJWK, jose.PrivateKey{ID: "1", Algorithm: jose.ES256}, jose.ES256},
		"PKCS 8":      {string(privatePEM(t, rsaPrivate)), jose.PrivateKey{}, jose.RS256},
		"PKCS 8 Ed":   {string(privatePEM(t, generate(t, jose.EdDSA))), jose.PrivateKey{}, jose.EdDSA},
		"PKCS 1":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPrivate)), jose.PrivateKey{}, jose.RS256},
		"SEC 1":       {block("EC PRIVATE KEY", sec1), jose.PrivateKey{}, jose.ES384},
		"of openssl":  {block("EC PARAMETERS", []byte{6, 5}) + block("EC PRIVATE KEY", sec1), jose.PrivateKey{}, jose.ES384},
		"with blanks": {"\n  " + ecJWK + "\n", jose.PrivateKey{ID: "1", Algorithm: jose.ES256}, jose.ES256},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := jose.ParsePrivateKey([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			if key.ID != test.want.ID || key.Algorithm != test.want.Algorithm {
				t.Errorf("kid %q, alg %q", key.ID, key.Algorithm)
			}
			if alg, err := jose.DefaultAlgorithm(key.Signer); err != nil || alg != test.alg {
				t.Errorf("default algorithm %q, %v", alg, err)
			}
			if _, err := jose.NewSigner(key.Signer, test.alg, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	with := func(changes map[string]any) string {
		members, err := jose.ParseObject([]byte(ecJWK))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(members, changes)
		return string(tokentest.JSON(members))
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pemKey := string(privatePEM(t, generate(t, jose.ES256)))
	for name, test := range map[string]struct{ file, want string }{
		"nothing":        {"", "neither a private JWK nor"},
		"text":           {"secret", "neither a private JWK nor"},
		"two keys":       {pemKey + pemKey, "more than one"},
		"public JWK":     {string(tokentest.JSON(tokentest.NewKey(t, "ES256", "").JWK())), "not a private key"},
		"symmetric JWK":  {`{"kty":"oct","k":"c2VjcmV0c2VjcmV0"}`, "not a private key"},
		"duplicate":      {`{"kty":"EC","kty":"EC"}`, "duplicate"},
		"for encryption": {with(map[string]any{"use": "enc"}), "use is not sig"},
		"key_ops":        {with(map[string]any{"key_ops": []string{"deriveKey"}}), "key_ops lack sign"},
		"alg unknown":    {with(map[string]any{"alg": "HS256"}), "alg does not fit"},
		"alg of another": {with(map[string]any{"alg": "RS256"}), "alg does not fit"},
		"foreign half":   {with(map[string]any{"d": strings.Repeat("A", 42) + "E"}), "does not belong"},
		"zero":           {with(map[string]any{"d": strings.Repeat("A", 43)}), "reading private key"},
		"encrypted PEM":  {block("ENCRYPTED PRIVATE KEY", []byte{1}), "passphrase"},
		"broken PEM":     {block("PRIVATE KEY", []byte{1}), "not a private key"},
		"weak":           {string(privatePEM(t, weak)), "RSA key of 1024 bits"},
		"for agreement":  {string(privatePEM(t, agreement)), "cannot sign"},
		"certificate":    {block("CERTIFICATE", []byte{1}), "neither a private JWK nor"},
		"foreign Ed25519": {
			`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"` +
				tokentest.Encode(generate(t, jose.EdDSA).Public().(ed25519.PublicKey)) + `"}`, "reading private key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := jose.ParsePrivateKey([]byte(test.file))
			if !errors.Is(err, jose.ErrPrivateKey) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want %q", key, err, test.want)
			}
		})
	}
}
