//go:build !race

package token_test

import "testing"

// What is counted as bytes is about what the memory is: what is true of two megabytes is
// true of a thousand.
func TestLargeCacheHoldsItsBounds(t *testing.T) {
	holdBounds(t, []bounds{
		{"by bytes", 4_000, 100_000, 2 << 20, 900},
		{"by entries", 2_000, 500, 64 << 20, 500},
	}, func(t *testing.T, grown, maxBytes int64) {
		t.Helper()
		if grown > maxBytes {
			t.Errorf("%d bytes of heap; the bound is %d", grown, maxBytes)
		}
	})
}
