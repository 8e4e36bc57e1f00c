package signing

import (
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A kid is an argument of `keys retire`, which takes what begins with a hyphen for an
// option. One thumbprint of 64 does.
func TestKidIsNoOption(t *testing.T) {
	for range 1000 {
		k, err := generate(AccessTokens, jose.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(k.id, "-") {
			t.Fatalf("kid %s", k.id)
		}
	}
}
