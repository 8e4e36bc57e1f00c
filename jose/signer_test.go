package jose_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

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
