package tokentest

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"
)

// CompressedZeros is that many zeros, compressed (RFC 1951) to about a thousandth.
// The size must be a multiple of 1 MiB: one is compressed, and repeated.
func CompressedZeros(tb testing.TB, size int) string {
	tb.Helper()
	const part = 1 << 20
	if size < part || size%part != 0 {
		tb.Fatalf("%d zeros are no multiple of %d", size, part)
	}
	var compressed bytes.Buffer
	writer, err := flate.NewWriter(&compressed, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	// What is flushed ends with a byte, and behind zeros it is always the same.
	write := func() string {
		compressed.Reset()
		if _, err := writer.Write(make([]byte, part)); err != nil {
			tb.Fatal(err)
		}
		if err := writer.Flush(); err != nil {
			tb.Fatal(err)
		}
		return compressed.String()
	}
	first, next := write(), write()
	compressed.Reset()
	if err := writer.Close(); err != nil {
		tb.Fatal(err)
	}
	return first + strings.Repeat(next, size/part-1) + compressed.String()
}
