package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
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
