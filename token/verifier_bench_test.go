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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// distinct is how many tokens the benchmarks go through before they begin anew:
// enough that no processor cache flatters a token seen first. An odd number, so
// that each of two checks goes first with every token in its turn.
const distinct = 499

// BenchmarkFirstSeen is a token that is not remembered yet, from the header to
// the memory, beside Go's own check of the same signature and nothing else. The
// two take turns with each token, so that neither finds the processor's caches
// warmer than the other. of-promise is the ratio to what the project promises:
// 1.25 of the bare check and 10 µs.
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
		world := newWorld(b, "EdDSA")
		world.issuer.Keys = world.publish(b, signer)
		b.Run(algorithm, func(b *testing.B) { world.takeTurns(b, signer, tokens) })
	}
}

func (w *world) takeTurns(b *testing.B, signer *tokentest.Key, tokens []string) {
	b.Helper()
	signatures := decode(b, tokens)
	var bare, first []float64
	var cache *token.Cache
	var verifier *token.Verifier
	for i := 0; b.Loop(); i++ {
		turn := i % len(tokens)
		if turn == 0 {
			if cache != nil {
				cache.Close()
			}
			cache = token.NewCache(100_000, 64<<20)
			verifier = token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{w.issuer}, Cache: cache})
		}
		header := http.Header{"Authorization": {"Bearer " + tokens[turn]}}
		turns := []func(){
			func() {
				bare = append(bare, took(func() bool { return signatures[turn].good(signer.Private.Public()) }))
			},
			func() { first = append(first, took(func() bool { return accepts(b, verifier, header) })) },
		}
		turns[i%2]()
		turns[1-i%2]()
		if bare[i] < 0 || first[i] < 0 {
			b.Fatal("a good token was refused")
		}
	}
	cache.Close()
	b.ReportMetric(0, "ns/op") // of both together, which means nothing
	b.ReportMetric(median(bare), "bare-ns/token")
	b.ReportMetric(median(first), "first-seen-ns/token")
	b.ReportMetric(median(first)/(1.25*median(bare)+10_000), "of-promise")
}

func accepts(b *testing.B, verifier *token.Verifier, header http.Header) bool {
	b.Helper()
	raw, err := take(header)
	if err != nil {
		return false
	}
	_, _, err = verifier.Verify(b.Context(), raw)
	return err == nil
}

// took is how many nanoseconds the work took, -1 if it failed.
func took(work func() bool) float64 {
	began := time.Now()
	if !work() {
		return -1
	}
	return float64(time.Since(began))
}

// median is not moved by the times in which somebody else had the processor.
func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// A signature is a decoded one and the text it is of.
type signature struct{ signed, signature []byte }

func decode(b *testing.B, tokens []string) []signature {
	b.Helper()
	signatures := make([]signature, 0, len(tokens))
	for _, text := range tokens {
		end := strings.LastIndexByte(text, '.')
		signatures = append(signatures, signature{[]byte(text[:end]), tokentest.Decode(b, text[end+1:])})
	}
	return signatures
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
