package token_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestCacheHoldsItsBounds(t *testing.T) {
	holdBounds(t, []bounds{
		{"by bytes", 2000, 100_000, 1 << 20, 450},
		{"by entries", 500, 125, 64 << 20, 125},
	}, func(*testing.T, int64, int64) {})
}

// bounds are those of a cache, and how many tokens it sees.
type bounds struct {
	name       string
	seen       int
	maxEntries int
	maxBytes   int64
	fit        int // about how many
}

// holdBounds sees to it that the two bounds of token_cache hold by eviction, whichever is
// reached first, and tells by how many bytes the heap has grown. The tokens differ in their
// size by a factor of three, and there are four times as many as fit.
func holdBounds(t *testing.T, tests []bounds, weigh func(t *testing.T, grown, maxBytes int64)) {
	t.Helper()
	issuer, sign := sharing(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := heap()
			cache := token.NewCache(test.maxEntries, test.maxBytes)
			defer cache.Close()
			verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{issuer}, Cache: cache})
			for i := range test.seen {
				raw := sign(map[string]any{"jti": fmt.Sprint(i), "email": strings.Repeat("e", i%5*400)})
				if _, _, err := verifier.Verify(t.Context(), raw); err != nil {
					t.Fatal(err)
				}
				if i%100 == 0 {
					cache.CleanUp()
					if n := cache.Len(); n > test.maxEntries {
						t.Fatalf("%d tokens are remembered after %d, over the bound of %d", n, i, test.maxEntries)
					}
				}
			}
			cache.CleanUp()
			n, grown := cache.Len(), heap()-before
			t.Logf("of %d tokens %d are remembered, in %d KiB of at most %d", test.seen, n, grown>>10, test.maxBytes>>10)
			if n > test.maxEntries || n < test.fit*3/4 || n > test.fit*5/4 {
				t.Errorf("%d tokens are remembered; the bound is %d, and about %d fit", n, test.maxEntries, test.fit)
			}
			weigh(t, grown, test.maxBytes)
			runtime.KeepAlive(cache)
		})
	}
}

// BenchmarkRememberMany is what a token costs that pushes others out, with
// token_cache at its default bounds and a hundred thousand tokens in it.
func BenchmarkRememberMany(b *testing.B) {
	issuer, sign := sharing(b)
	cache := token.NewCache(100_000, 64<<20)
	defer cache.Close()
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{issuer}, Cache: cache})
	tokens := make([]token.Raw, 150_000)
	for i := range tokens {
		tokens[i] = sign(map[string]any{"jti": fmt.Sprint(i)})
	}
	for i := 0; b.Loop(); i++ {
		if _, _, err := verifier.Verify(b.Context(), tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
	cache.CleanUp()
	b.ReportMetric(float64(cache.Len()), "remembered")
}

// sharing is an issuer that signs with a shared secret, which is quick, so that
// the cache is what takes the time.
func sharing(tb testing.TB) (issuer *token.Issuer, sign func(changes map[string]any) token.Raw) {
	tb.Helper()
	secret := []byte("0123456789abcdef0123456789abcdef")
	document := tokentest.JSON(map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": tokentest.Encode(secret)}}})
	set, err := jose.ParseSecrets(document, jose.Symmetric())
	if err != nil {
		tb.Fatal(err)
	}
	issuer = &token.Issuer{
		URL: issuerURL, Algorithms: jose.Symmetric(), Audience: token.Audience{Values: []string{audience}},
		Keys: keys.NewStatic(issuerURL, keys.NewState(), set),
	}
	header := map[string]any{"alg": "HS256", "typ": "at+jwt"}
	return issuer, func(changes map[string]any) token.Raw {
		return token.NewRaw(tokentest.HS256(secret, header, tokentest.Claims(issuerURL, changes)))
	}
}

// heap is the memory in use once the garbage is gone.
func heap() int64 {
	runtime.GC() //nolint:revive // garbage is not what is measured
	runtime.GC() //nolint:revive // twice, for what the first one only finalized
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// What is evicted is verified anew, and the rest is not.
func TestCacheEvicts(t *testing.T) {
	issuer, sign := sharing(t)
	cache := token.NewCache(100, 1<<20)
	defer cache.Close()
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{issuer}, Cache: cache})
	for _, subject := range []string{"alice", "bob", "bob"} {
		if _, _, err := verifier.Verify(t.Context(), sign(map[string]any{"sub": subject, "jti": fmt.Sprint(cache.Len())})); err != nil {
			t.Fatal(err)
		}
	}
	bobs := func(held *token.Token) bool { return held.Subject == "bob" }
	if found, evicted := cache.Count(bobs), cache.Evict(bobs); found != 2 || evicted != 2 {
		t.Errorf("%d found, %d evicted, want 2", found, evicted)
	}
	everybody := func(*token.Token) bool { return true }
	if left := cache.Count(everybody); left != 1 {
		t.Errorf("%d are left, want 1", left)
	}
}
