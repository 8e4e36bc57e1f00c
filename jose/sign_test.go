package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// rsaKey is one for all tests, as making one takes the longest part of a second.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func generate(tb testing.TB, alg jose.Algorithm) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA, jose.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsaKey()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func TestSignEachAlgorithm(t *testing.T) {
	for _, alg := range jose.Asymmetric() {
		t.Run(string(alg), func(t *testing.T) {
			signer, err := jose.NewSigner(generate(t, alg), alg, "k1")
			if err != nil {
				t.Fatal(err)
			}
			// Many, so that an integer with a leading zero octet is among them. Of ES512
			// every second one has it, and of the others none is an integer of a curve.
			rounds := 4
			if alg == jose.ES256 || alg == jose.ES384 {
				rounds = 40
			}
			for range rounds {
				text, err := signer.Sign(map[string]any{"typ": "x+jwt"}, []byte(`{"a":1}`))
				if err != nil {
					t.Fatal(err)
				}
				jws, err := jose.ParseJWS(text)
				if err != nil {
					t.Fatal(err)
				}
				if want := (jose.Header{Algorithm: string(alg), KeyID: "k1", Type: "x+jwt"}); !cmp.Equal(jws.Header, want) {
					t.Errorf("header %+v", jws.Header)
				}
				if err := jws.VerifyWith(signer.Public(), alg); err != nil || string(jws.Payload) != `{"a":1}` {
					t.Errorf("%v, payload %s", err, jws.Payload)
				}
			}
			if signer.Algorithm() != alg || signer.KeyID() != "k1" {
				t.Error("the signer does not tell its algorithm and kid")
			}
		})
	}
}

// The example of RFC 8037, appendices A.2 to A.4: Ed25519 signs the same text
// with the same signature, always.
func TestSignRFC8037(t *testing.T) {
	key, err := jose.ParsePrivateKey([]byte(`{"kty":"OKP","crv":"Ed25519",
		"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(key.Signer, jose.EdDSA, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.Sign(nil, []byte("Example of Ed25519 signing"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if text != want {
		t.Errorf("got %s", text)
	}
	thumb := signer.Public().Thumbprint()
	if got := base64.RawURLEncoding.EncodeToString(thumb[:]); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("thumbprint %s", got)
	}
}

func TestSignRefusesToBeOverruled(t *testing.T) {
	signer, err := jose.NewSigner(generate(t, jose.ES256), jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alg", "kid", "crit", "b64"} {
		if text, err := signer.Sign(map[string]any{name: "none"}, nil); !errors.Is(err, jose.ErrSigning) {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
	}
	header := map[string]any{"typ": "JWT"}
	if _, err := signer.Sign(header, nil); err != nil || !cmp.Equal(header, map[string]any{"typ": "JWT"}) {
		t.Errorf("%v, and the caller's header became %v", err, header)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key crypto.Signer
		alg jose.Algorithm
	}{
		"no key":       {nil, jose.ES256},
		"HS256":        {generate(t, jose.ES256), "HS256"},
		"none":         {generate(t, jose.ES256), "none"},
		"other type":   {generate(t, jose.ES256), jose.RS256},
		"other curve":  {generate(t, jose.ES256), jose.ES384},
		"weak RSA":     {weak, jose.RS256},
		"unknown type": {oddKey{}, jose.ES256},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.NewSigner(test.key, test.alg, ""); !errors.Is(err, jose.ErrSigning) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An oddKey is what a broken key module may hand over, whose signatures are these bytes.
type oddKey struct {
	public crypto.PublicKey
	makes  []byte
}

func (k oddKey) Public() crypto.PublicKey { return k.public }

func (k oddKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.makes, nil }

func TestSignRefusesWhatIsNoSignature(t *testing.T) {
	public := generate(t, jose.ES256).Public()
	wide := append([]byte{0x30, 0x26, 2, 1, 1, 2, 33}, bytes.Repeat([]byte{1}, 33)...)
	for name, made := range map[string][]byte{
		"text":            []byte("not a signature"),
		"nothing":         nil,
		"one integer":     {0x30, 3, 2, 1, 1},
		"three integers":  {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
		"something after": {0x30, 6, 2, 1, 1, 2, 1, 1, 0},
		"zero":            {0x30, 6, 2, 1, 0, 2, 1, 1},
		"negative":        {0x30, 6, 2, 1, 1, 2, 1, 0x80},
		"empty integer":   {0x30, 5, 2, 0, 2, 1, 1},
		"too wide":        wide,
	} {
		signer, err := jose.NewSigner(oddKey{public, made}, jose.ES256, "")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := signer.Sign(nil, []byte("{}")); !errors.Is(err, jose.ErrSigning) {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
	}
}

// Integers shorter than the curve stand at the right end of their halves.
func TestSignFillsShortIntegers(t *testing.T) {
	short := oddKey{generate(t, jose.ES256).Public(), []byte{0x30, 7, 2, 2, 0, 0x80, 2, 1, 5}}
	signer, err := jose.NewSigner(short, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.Sign(nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64)
	want[31], want[63] = 0x80, 5
	if got := text[strings.LastIndex(text, ".")+1:]; got != base64.RawURLEncoding.EncodeToString(want) {
		t.Errorf("got the signature %s", got)
	}
}

func TestPublicJWKIsWhatOthersRead(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		key := tokentest.NewKey(t, alg, "k")
		made, err := jose.NewKey(key.Private.Public(), "k")
		if err != nil {
			t.Fatal(err)
		}
		read := one(t, key)
		if made.Thumbprint() != read.Thumbprint() {
			t.Errorf("%s: the thumbprint is not that of the JOSE library", alg)
		}
		set, err := jose.ParseKeySet(tokentest.JSON(map[string]any{"keys": []any{read.PublicJWK()}}))
		if err != nil || set.Keys[0].Thumbprint() != made.Thumbprint() {
			t.Errorf("%s: read again: %v", alg, err)
		}
	}
}

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

// What is put together once is the same as what is put together each time.
func TestSignTyped(t *testing.T) {
	signer, err := jose.NewSigner(generate(t, jose.ES256), jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"at+jwt", "at+jwt", "txntoken+jwt", "at+jwt"} {
		text, err := signer.SignTyped(typ, []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseJWS(text)
		if err != nil {
			t.Fatal(err)
		}
		if want := (jose.Header{Algorithm: "ES256", KeyID: "k1", Type: typ}); !cmp.Equal(jws.Header, want) {
			t.Errorf("header %+v", jws.Header)
		}
		if err := jws.VerifyWith(signer.Public(), jose.ES256); err != nil || string(jws.Payload) != `{"a":1}` {
			t.Errorf("%v, payload %s", err, jws.Payload)
		}
	}
}
