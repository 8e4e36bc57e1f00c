//go:build interop

package node_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The provider's keys rotate. What the new key signs, tokens and answers about
// tokens, is taken at once; what the former one signed goes on while it is in the set.
func TestOIDCProviderRotation(t *testing.T) {
	w := start(t, "introspection {", "jwks_refresh 1s\n\t\t\tintrospection {")
	first := w.provider.Machine(jwt, "orders:read")
	w.Get("/", first).Expect(t, http.StatusOK)

	w.provider.Rotate("es-2")
	second := w.provider.Machine(jwt, "orders:read")
	if kid := harness.Header(t, second)["kid"]; kid != "es-2" {
		t.Fatalf("signed with %v", kid)
	}
	w.Get("/", second).Expect(t, http.StatusOK)
	w.Get("/", first).Expect(t, http.StatusOK)
	w.Get("/", w.provider.Machine(opaque, "orders:read")).Expect(t, http.StatusOK) // the answer is signed with es-2

	w.provider.Rotate("es-3")
	third := w.provider.Machine(jwt, "orders:read")
	w.Get("/", third).Expect(t, http.StatusOK)
	w.Get("/", second).Expect(t, http.StatusOK)
	w.Await("/", first, http.StatusUnauthorized)
	w.refuses(t, first, "unknown_key")
	w.Get("/", second).Expect(t, http.StatusOK)
}
