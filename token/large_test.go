//go:build !race

package token_test

import "testing"

func TestLargeCacheHoldsItsBounds(t *testing.T) {
	holdBounds(t, []bounds{
		{"by bytes", 4_000, 100_000, 2 << 20, 900},
		{"by entries", 2_000, 500, 64 << 20, 500},
	})
}
