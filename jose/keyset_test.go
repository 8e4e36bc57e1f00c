package jose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

func TestParseKeySetDropsBadKeysOneByOne(t *testing.T) {
	good := tokentest.NewKey(t, "ES256", "good")
	with := func(changes map[string]any) map[string]any {
		member := tokentest.NewKey(t, "ES256", "other").JWK()
		for name, value := range changes {
			member[name] = value
			if value == nil {
				delete(member, name)
			}
		}
		return member
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		member map[string]any
		reason string
	}{
		"unknown type":   {map[string]any{"kty": "PQ", "kid": "x"}, "not a JWK of a known type"},
		"symmetric":      {map[string]any{"kty": "oct", "k": "c2VjcmV0c2VjcmV0"}, "symmetric"},
		"private":        {with(map[string]any{"d": strings.Repeat("A", 42) + "E"}), "private key"},
		"encryption":     {with(map[string]any{"use": "enc"}), "use is not sig"},
		"key_ops":        {with(map[string]any{"key_ops": []string{"encrypt"}}), "key_ops lack verify"},
		"other alg":      {with(map[string]any{"alg": "ECDH-ES"}), "not a known signature algorithm"},
		"wrong alg":      {with(map[string]any{"alg": "RS256"}), "alg does not fit"},
		"wrong curve":    {with(map[string]any{"alg": "ES384"}), "alg does not fit"},
		"duplicate kid":  {with(map[string]any{"kid": "good"}), "kid is used by an earlier key"},
		"off the curve":  {with(map[string]any{"y": tokentest.Encode(make([]byte, 32))}), "not"},
		"weak RSA":       {(&tokentest.Key{Algorithm: "RS256", Private: weak}).JWK(), "RSA key of 1024 bits"},
		"number as kty":  {map[string]any{"kty": 1}, "not a JWK of a known type"},
		"broken base64":  {with(map[string]any{"x": "!"}), "not a JWK of a known type"},
		"truncated key":  {with(map[string]any{"x": "AA"}), "not"},
		"missing member": {with(map[string]any{"x": nil}), "not"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set, err := jose.ParseKeySet(tokentest.JSON(map[string]any{"keys": []any{good.JWK(), test.member}}))
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Keys) != 1 || set.Keys[0].ID() != "good" {
				t.Errorf("kept %v", set.Keys)
			}
			if len(set.Dropped) != 1 || set.Dropped[0].Index != 1 || !strings.Contains(set.Dropped[0].Reason, test.reason) {
				t.Errorf("dropped %+v, want reason %q", set.Dropped, test.reason)
			}
			if got := set.Dropped[0].Other; got != (name == "encryption") {
				t.Errorf("said to be for something else: %t", got)
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":       `<html>`,
		"no keys":       `{}`,
		"keys null":     `{"keys":null}`,
		"keys a text":   `{"keys":"x"}`,
		"none usable":   `{"keys":[]}`,
		"duplicate":     `{"keys":[],"keys":[]}`,
		"trailing":      `{"keys":[]}{}`,
		"too many keys": `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{},`, 300), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.ParseKeySet([]byte(text)); !errors.Is(err, jose.ErrKeySet) {
				t.Errorf("got %v, want ErrKeySet", err)
			}
		})
	}
}

func TestParsePEM(t *testing.T) {
	signer := tokentest.NewKey(t, "ES256", "")
	public, err := x509.MarshalPKIXPublicKey(signer.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	set, err := jose.ParsePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseJWS(signer.Sign(nil, map[string]any{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.VerifyWith(set.Keys[0], jose.ES256); err != nil {
		t.Error(err)
	}
	if want := one(t, signer).Thumbprint(); !cmp.Equal(set.Keys[0].Thumbprint(), want) {
		t.Error("the same key has another thumbprint when it comes as PEM")
	}
}

func TestParsePEMRefusesPrivateKeys(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if _, err := jose.ParsePEM(text); !errors.Is(err, jose.ErrKeySet) || !strings.Contains(err.Error(), "private key") {
		t.Errorf("got %v", err)
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add(tokentest.Set(tokentest.NewKey(f, "ES256", "k")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jose.ParseKeySet(data)
		if err == nil && len(set.Keys) == 0 {
			t.Fatal("a key set without keys and without an error")
		}
	})
}
