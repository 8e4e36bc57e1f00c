package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// revoke gives the gateway's admin endpoint an order to revoke.
func revoke(t *testing.T, gateway *harness.Gateway, order string) {
	t.Helper()
	answer, err := http.Post(gateway.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("revoking: status %d", answer.StatusCode)
	}
}

func TestRevokedSubjectIsRefused(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice, bob := idp.Token(map[string]any{"sub": "alice"}), idp.Token(map[string]any{"sub": "bob"})
	gateway.Await("/orders/1", alice, http.StatusOK)
	gateway.Await("/orders/1", bob, http.StatusOK)

	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice", "reason": "left"}`)
	gateway.Get("/orders/1", alice).Expect(t, http.StatusUnauthorized)
	gateway.Get("/other", alice).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", bob).Expect(t, http.StatusOK)
}
