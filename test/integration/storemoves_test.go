package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What was revoked stays revoked when a reload moves the store, and when the process
// begins again with the new one alone.
func TestRevocationsMoveWithTheStore(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	folder := t.TempDir()
	at := func(name string) string {
		line := "gatehouse {\n\t\tstore memory " + filepath.Join(folder, name)
		return strings.NewReplacer("$IDP", idp.URL, "$UPSTREAM", upstream.Address).Replace(strings.Replace(mainJob, "gatehouse {", line, 1))
	}
	gateway := harness.Start(t, at("one"))
	alice, bob := idp.Token(map[string]any{"sub": "alice"}), idp.Token(map[string]any{"sub": "bob"})
	gateway.Await("/other", alice, http.StatusOK)
	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice"}`)
	if err := gateway.Reload(at("two")); err != nil {
		t.Fatal(err)
	}
	gateway.Await("/other", bob, http.StatusOK)
	gateway.Get("/other", alice).Expect(t, http.StatusUnauthorized)
	// Written into the other store behind the start.
	harness.Eventually(t, "the new store has it", func() bool {
		body, _, err := fetch(gateway.Admin + "/gatehouse/ready")
		return err == nil && strings.Contains(string(body), `"ready":true`)
	})
	gateway.Stop()

	again := harness.Start(t, at("two"))
	again.Await("/other", bob, http.StatusOK)
	again.Get("/other", alice).Expect(t, http.StatusUnauthorized)
}
