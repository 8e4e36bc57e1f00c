package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// distinct is how many tokens the benchmarks go through before they begin anew:
// enough that no processor cache flatters a token seen first.
const distinct = 500

// BenchmarkFirstSeen is a token that is not remembered yet, from the header to
// the memory, beside Go's own check of the same signatures and nothing else.
func BenchmarkFirstSeen(b *testing.B) {
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		signer := tokentest.NewKey(b, algorithm, "k1")
		tokens := make([]string, distinct)
		for i := range tokens {
			tokens[i] = signer.Sign(nil, tokentest.Claims(issuerURL, map[string]any{
				"sub": fmt.Sprintf("user-%06d", i), "exp": time.Now().Add(time.Hour).Unix(),
				"auth_time": time.Now().Unix(), "acr": "urn:example:loa:2", "email": "user@example.com",
				"roles": []any{"customer", "reviewer"}, "jti": fmt.Sprintf("%032d", i),
			}))
		}
		b.Run(algorithm+"/bare", func(b *testing.B) { verifyBare(b, signer.Private.Public(), tokens) })
		b.Run(algorithm+"/verifier", func(b *testing.B) { verifyFirst(b, newBenchWorld(b, signer), tokens) })
	}
}

func newBenchWorld(b *testing.B, signer *tokentest.Key) *token.Issuer {
	b.Helper()
	w := newWorld(b, "EdDSA")
	w.issuer.Keys = w.publish(b, signer)
	return w.issuer
}

// verifyFirst verifies every token once with an empty cache, then takes another
// cache.
func verifyFirst(b *testing.B, issuer *token.Issuer, tokens []string) {
	b.Helper()
	header := make(http.Header)
	b.ReportAllocs()
	for done := 0; done < b.N; done += len(tokens) {
		b.StopTimer()
		cache := token.NewCache(100_000, 64<<20)
		verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{issuer}, Cache: cache})
		b.StartTimer()
		for _, text := range tokens[:min(len(tokens), b.N-done)] {
			header["Authorization"] = []string{"Bearer " + text}
			raw, err := token.Take(header)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := verifier.Verify(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		cache.Close()
	}
}

// A signature is a decoded one and the text it is of.
type signature struct{ signed, signature []byte }

func verifyBare(b *testing.B, public crypto.PublicKey, tokens []string) {
	b.Helper()
	signatures := make([]signature, 0, len(tokens))
	for _, text := range tokens {
		end := strings.LastIndexByte(text, '.')
		signatures = append(signatures, signature{[]byte(text[:end]), tokentest.Decode(b, text[end+1:])})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if !signatures[i%len(signatures)].good(public) {
			b.Fatal("a good signature was refused")
		}
	}
}

// good is the bare check: a hash and one call of Go's crypto.
func (s signature) good(public crypto.PublicKey) bool {
	sum := sha256.Sum256(s.signed)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:]))
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], s.signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, s.signed, s.signature)
	default:
		return false
	}
}

// BenchmarkVerifyRemembered is the verifier alone with a token that it knows.
func BenchmarkVerifyRemembered(b *testing.B) {
	w := newWorld(b, "ES256")
	raw := w.sign(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.verifier.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadToken is what of a token seen first is not cryptography.
func BenchmarkReadToken(b *testing.B) {
	text := newWorld(b, "ES256").sign(nil, nil).Reveal()
	b.ReportAllocs()
	for b.Loop() {
		jws, err := jose.ParseJWS(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := token.ParseClaims(jws.Payload); err != nil {
			b.Fatal(err)
		}
	}
}
