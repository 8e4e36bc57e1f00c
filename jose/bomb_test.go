package jose_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// What is compressed is never inflated (attack row 23), however small it came and
// whatever bounds stand before the decrypter.
func TestDecryptInflatesNothing(t *testing.T) {
	key := tokentest.NewKey(t, "RS256", "")
	parsed, err := jose.ParseDecryptionKey(key.PEM(t))
	if err != nil {
		t.Fatal(err)
	}
	d := decrypter(t, parsed)
	for _, size := range []int{32 << 20, 1 << 30} { // the first is short enough to be read
		bomb := tokentest.Encrypt(t, key.Private.Public(), map[string]any{"zip": "DEF"}, tokentest.CompressedZeros(t, size))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got, err := d.Decrypt(bomb); !errors.Is(err, jose.ErrDecryption) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%d bytes that hold %d made the decrypter allocate %d", len(bomb), size, allocated)
		}
	}
}
