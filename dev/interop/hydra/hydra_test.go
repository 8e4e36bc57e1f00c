//go:build interop

package hydra_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// api is the gateway's audience.
const api = "https://api.example.com"

// A world is a Hydra, a gateway that trusts it and a partner, and an upstream.
type world struct {
	*harness.Gateway

	hydra    *hydra
	partner  *harness.AuthServer
	upstream *harness.Upstream
}

func begin(t *testing.T) *world {
	t.Helper()
	w := &world{hydra: start(t), partner: harness.NewAuthServer(t), upstream: harness.NewUpstream(t)}
	w.hydra.client("opaque", "opaque", "client_credentials")
	w.hydra.client("jwt", "jwt", "client_credentials")
	w.hydra.client("gateway", "jwt", "urn:ietf:params:oauth:grant-type:jwt-bearer")
	caddyfile, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	w.Gateway = harness.Start(t, string(caddyfile),
		"$ISSUER", w.hydra.issuer, "$INTERNAL", w.hydra.admin, "$PARTNER", w.partner.URL, "$UPSTREAM", w.upstream.Address)
	w.Await("/", w.hydra.token("jwt", "orders:read", api), http.StatusOK)
	return w
}

// refuses asks with a token and wants a 401 whose cause is in the audit trail.
func (w *world) refuses(t *testing.T, token, rule string) {
	t.Helper()
	lines := len(w.Audit())
	w.Get("/", token).Expect(t, http.StatusUnauthorized)
	harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(w.Audit()) > lines })
	if line := w.Audit()[lines]; line["rule"] != rule {
		t.Errorf("audit: %v, want rule %s", line, rule)
	}
}

// Tokens of both strategies.
func TestHydra(t *testing.T) {
	w := begin(t)
	for _, kind := range []string{"opaque", "jwt"} {
		t.Run(kind, func(t *testing.T) {
			w.Get("/", w.hydra.token(kind, "orders:read", api)).Expect(t, http.StatusOK)
			w.Get("/", w.hydra.token(kind, "orders:write", api)).Expect(t, http.StatusForbidden)
			w.refuses(t, w.hydra.token(kind, "orders:read", "https://orders.example.com"), "wrong_audience")
		})
	}
	w.refuses(t, "ory_at_never-issued.by-anybody", "inactive")
	token := w.hydra.token("opaque", "orders:read", api)
	w.Get("/", token).Expect(t, http.StatusOK)
	w.hydra.revoke("opaque", token)
	w.Await("/", token, http.StatusUnauthorized)
}

// A key rotates by the administrative API: a new one signs, the old one stays, and
// goes.
func TestHydraRotation(t *testing.T) {
	w := begin(t)
	const set = "keys/" + accessTokenKeys
	before := w.hydra.token("jwt", "orders:read", api)
	w.hydra.administer(http.MethodPost, set, map[string]any{"alg": "ES256", "use": "sig", "kid": "second"}, http.StatusCreated)
	after := w.hydra.token("jwt", "orders:read", api)
	if kid := harness.Header(t, after)["kid"]; kid != "second" {
		t.Fatalf("Hydra signs with %v", kid)
	}
	w.Get("/", after).Expect(t, http.StatusOK)
	w.Get("/", before).Expect(t, http.StatusOK)
	w.hydra.administer(http.MethodDelete, set+"/first", nil, http.StatusNoContent)
	w.Await("/", before, http.StatusUnauthorized)
	w.Get("/", after).Expect(t, http.StatusOK)
}

// A partner's tokens are assertions to Hydra, once it was told of the partner's key.
func TestHydraJWTGrant(t *testing.T) {
	w := begin(t)
	assertion := func(subject, id string) string {
		return w.partner.Token(map[string]any{
			"sub": subject, "aud": w.hydra.issuer + "/oauth2/token", "jti": id, "exp": time.Now().Add(2 * time.Minute).Unix(), "scope": nil,
		})
	}
	first := assertion("alice", "first")
	w.Await("/partner/1", first, http.StatusUnauthorized) // nobody has told Hydra
	w.hydra.administer(http.MethodPost, "trust/grants/jwt-bearer/issuers", map[string]any{
		"issuer": w.partner.URL, "subject": "alice", "scope": []string{"orders:read"}, "jwk": w.partner.Key.JWK(),
		"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}, http.StatusCreated)

	known := assertion("alice", "second")
	w.Get("/partner/1", known).Expect(t, http.StatusOK)
	got := w.upstream.Last(t)
	claims := harness.Claims(t, got.Bearer())
	if claims["sub"] != "alice" || claims["client_id"] != "gateway" || got.Holds(known) {
		t.Errorf("the upstream got %v", claims)
	}
	w.Get("/partner/1", known).Expect(t, http.StatusOK) // Hydra takes an assertion once; the gateway remembers
	if again := w.upstream.Last(t).Bearer(); again != got.Bearer() {
		t.Error("the assertion was redeemed twice")
	}
	w.Get("/partner/1", assertion("mallory", "third")).Expect(t, http.StatusUnauthorized)
}
