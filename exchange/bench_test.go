package exchange

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkExchangeCached is a request whose token has been exchanged before, for
// one caller and for ten thousand in turn.
func BenchmarkExchangeCached(b *testing.B) {
	for _, callers := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			state := NewState(DefaultCacheEntries, DefaultCacheBytes)
			defer state.Close()
			x, err := New(Config{
				State: state,
				Leg: Leg{
					Client:   &slowServer{},
					Audience: []string{"https://orders.example"}, Scope: []string{"orders:read", "orders:write"},
				},
			})
			if err != nil {
				b.Fatal(err)
			}
			known := make([]Caller, callers)
			for i := range known {
				known[i] = callerAt(time.Now(), fmt.Sprint("token ", i), "openid", "orders:read", "orders:write")
				if _, err := x.Exchange(b.Context(), known[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				if _, err := x.Exchange(b.Context(), known[i%callers]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKey is the making of the cache key, the largest part of a hit.
func BenchmarkKey(b *testing.B) {
	config := Config{Leg: Leg{Client: &slowServer{}, SubjectType: TypeAccessToken, Audience: []string{"https://orders.example"}}}
	settings := settingsOf(config)
	maker := newKeyMaker()
	digest := callerAt(time.Now(), "t").Token.Digest
	scopes := []string{"orders:read", "orders:write"}
	b.ReportAllocs()
	for b.Loop() {
		maker.key(&settings, &digest, scopes, nil)
	}
}
