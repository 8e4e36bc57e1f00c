package token_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// decrypterOf holds the private halves of these keys.
func decrypterOf(tb testing.TB, from ...*tokentest.Key) *jose.Decrypter {
	tb.Helper()
	var found []*jose.DecryptionKey
	for _, key := range from {
		parsed, err := jose.ParseDecryptionKey(key.PEM(tb))
		if err != nil {
			tb.Fatal(err)
		}
		found = append(found, parsed)
	}
	made, err := jose.NewDecrypter(found...)
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

func (w *world) trust(issuers ...*token.Issuer) {
	w.verifier = token.NewVerifier(token.VerifierConfig{Issuers: issuers, Cache: w.cache})
}

// Only the issuer's own keys open its envelope, and what is inside is judged like
// any other token.
func TestVerifyEncrypted(t *testing.T) {
	w := newWorld(t, "ES256")
	ours, older := tokentest.NewKey(t, "RS256", ""), tokentest.NewKey(t, "ES256", "")
	foreign := tokentest.NewKey(t, "ES256", "")
	w.issuer.Decrypter = decrypterOf(t, older, ours)
	signer := tokentest.NewKey(t, "ES256", "k2")
	const second = "https://second.example.com"
	set, err := jose.ParseKeySet(tokentest.Set(signer))
	if err != nil {
		t.Fatal(err)
	}
	other := &token.Issuer{
		URL: second, Algorithms: jose.Asymmetric(), Audience: w.issuer.Audience,
		Keys: keys.NewStatic(second, keys.NewState(), set), Decrypter: decrypterOf(t, foreign),
	}
	plain := &token.Issuer{
		URL: "https://plain.example.com", Algorithms: jose.Asymmetric(), Audience: w.issuer.Audience,
		Keys: keys.NewStatic("https://plain.example.com", keys.NewState(), set),
	}
	w.trust(w.issuer, other, plain)
	good := w.sign(nil, nil).Reveal()
	rsa, ec := ours.Private.Public(), older.Private.Public()
	tests := map[string]struct {
		text string
		want error
	}{
		"new key":              {tokentest.Encrypt(t, rsa, nil, good), nil},
		"old key":              {tokentest.Encrypt(t, ec, nil, good), nil},
		"not encrypted":        {good, nil},
		"another's key":        {tokentest.Encrypt(t, tokentest.NewKey(t, "RS256", "").Private.Public(), nil, good), token.Undecryptable},
		"another issuer's key": {tokentest.Encrypt(t, foreign.Private.Public(), nil, good), token.UnknownIssuer},
		"another issuer's token": {
			tokentest.Encrypt(t, rsa, nil, signer.Sign(nil, tokentest.Claims(second, nil))), token.UnknownIssuer,
		},
		"of an issuer that has no key": {
			tokentest.Encrypt(t, rsa, nil, signer.Sign(nil, tokentest.Claims(plain.URL, nil))), token.UnknownIssuer,
		},
		"nested":       {tokentest.Encrypt(t, rsa, nil, tokentest.Encrypt(t, ec, nil, good)), token.Undecryptable},
		"only claims":  {tokentest.Encrypt(t, rsa, nil, string(tokentest.JSON(tokentest.Claims(issuerURL, nil)))), token.Undecryptable},
		"not signed":   {tokentest.Encrypt(t, rsa, nil, tokentest.Encode([]byte(`{"alg":"none"}`))+"."+strings.Split(good, ".")[1]+"."), token.NotJWT},
		"bad inside":   {tokentest.Encrypt(t, rsa, nil, w.sign(nil, map[string]any{"aud": "x"}).Reveal()), token.WrongAudience},
		"RSA1_5":       {tokentest.Encrypt(t, rsa, map[string]any{"alg": "RSA1_5"}, good), token.Undecryptable},
		"PBES2":        {tokentest.Encrypt(t, rsa, map[string]any{"alg": "PBES2-HS256+A128KW", "p2c": 1 << 30, "p2s": "AAAA"}, good), token.Undecryptable},
		"zip":          {tokentest.Encrypt(t, rsa, map[string]any{"zip": "DEF"}, good), token.Undecryptable},
		"CBC":          {tokentest.Encrypt(t, rsa, map[string]any{"enc": "A128CBC-HS256"}, good), token.Undecryptable},
		"changed text": {changed(tokentest.Encrypt(t, rsa, nil, good)), token.Undecryptable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // anew, and remembered
				if _, err := w.verify(t, token.NewRaw(test.text)); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
			}
			explained := w.verifier.Explain(t.Context(), token.NewRaw(test.text))
			if explained.Good() != (test.want == nil) {
				t.Errorf("explained as good: %t, %v", explained.Good(), explained.Checks)
			}
		})
	}
}

// changed flips one bit of the ciphertext.
func changed(jwe string) string {
	parts := strings.Split(jwe, ".")
	first := "A"
	if parts[3][0] == 'A' {
		first = "B"
	}
	parts[3] = first + parts[3][1:]
	return strings.Join(parts, ".")
}

// A key for decryption that was withdrawn opens nothing, remembered tokens
// included; one that two issuers share opens the tokens of both.
func TestWithdrawnDecryptionKey(t *testing.T) {
	w := newWorld(t, "ES256")
	first, second := tokentest.NewKey(t, "ES256", ""), tokentest.NewKey(t, "RS256", "")
	raw := token.NewRaw(tokentest.Encrypt(t, first.Private.Public(), nil, w.sign(nil, nil).Reveal()))
	for _, step := range []struct {
		decrypter token.Decrypter
		want      error
	}{
		{decrypterOf(t, first, second), nil},
		{decrypterOf(t, second), token.Undecryptable},
		{nil, token.Encrypted},
		{decrypterOf(t, first), nil},
	} {
		issuer := *w.issuer
		issuer.Decrypter = step.decrypter
		w.trust(&issuer)
		if _, err := w.verify(t, raw); !errors.Is(err, step.want) {
			t.Errorf("error %v, want %v", err, step.want)
		}
	}
	issuer, other := *w.issuer, *w.issuer
	issuer.Decrypter, other.Decrypter = decrypterOf(t, first), decrypterOf(t, first)
	other.URL = "https://before.example.com"
	w.trust(&other, &issuer)
	if _, err := w.verify(t, raw); err != nil {
		t.Errorf("a key that two share: %v", err)
	}
}

// FuzzVerifyEncrypted holds that nothing but what the issuer signed is a token,
// whatever is inside an envelope that opens.
func FuzzVerifyEncrypted(f *testing.F) {
	w := newWorld(f, "ES256")
	key := tokentest.NewKey(f, "ES256", "")
	w.issuer.Decrypter = decrypterOf(f, key)
	w.trust(w.issuer)
	good := w.sign(nil, nil).Reveal()
	f.Add(good, "JWT", "ECDH-ES")
	f.Add("..", "", "RSA-OAEP-256")
	f.Add(tokentest.Encode([]byte(`{"alg":"none"}`))+".e30.", "jwt", "PBES2-HS256+A128KW")
	f.Fuzz(func(t *testing.T, inner, content, alg string) {
		header := map[string]any{"cty": content, "alg": alg}
		raw := token.NewRaw(tokentest.Encrypt(t, key.Private.Public(), header, inner))
		found, _, err := w.verifier.Verify(t.Context(), raw)
		if (err == nil) != (found != nil) {
			t.Fatalf("token %v, error %v", found, err)
		}
		if _, _, plain := w.verifier.Verify(t.Context(), token.NewRaw(inner)); err == nil && plain != nil {
			t.Fatalf("encrypted it is good, and plain it is not: %v", plain)
		}
	})
}
