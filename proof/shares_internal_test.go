package proof

import (
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// What a proof pays for its share, beside some tens of microseconds for its signature.
func BenchmarkShares(b *testing.B) {
	s, now := NewShares(0, 0), time.Now()
	keys := make([]token.Thumbprint, 1<<12)
	for i := range keys {
		keys[i] = token.Thumbprint{byte(i), byte(i >> 8)}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		key := keys[i%len(keys)]
		if s.admits(key, now) {
			s.count(key, now.Add(time.Minute))
		}
		i++
	}
}
