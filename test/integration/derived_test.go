package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Each kind of thing that is derived from a caller's token: what was read of a JWT,
// what the issuer said of an opaque token, and what was issued for either.
const derivedCaddyfile = `{
	debug
	gatehouse {` + harness.AskedOrders + `	}
}
$SITE {
	token_auth main
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

// wantCleared expects how much of each kind the nth event has cleared.
func wantCleared(t *testing.T, gateway *harness.Gateway, nth int, remembered, answers, issued float64) {
	t.Helper()
	var lines []map[string]any
	harness.Eventually(t, "the line about what was cleared", func() bool {
		lines = gateway.Lines("cleared what was derived from revoked tokens")
		return len(lines) >= nth
	})
	for name, want := range map[string]float64{
		"remembered_tokens": remembered, "introspection_answers": answers, "issued_tokens": issued,
	} {
		if got := lines[nth-1][name]; got != want {
			t.Errorf("%s: %v cleared, want %v", name, got, want)
		}
	}
}

// One revocation clears what was derived from the tokens that it is about, and
// nothing of anybody else.
func TestRevocationClearsWhatIsDerived(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	opaque := idp.Introspects(t)
	gateway := harness.Start(t, derivedCaddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice, bob := idp.Token(map[string]any{"sub": "alice"}), idp.Token(map[string]any{"sub": "bob"})
	opaque.Issue("opaque-of-alice", map[string]any{"sub": "alice"})
	opaque.Issue("opaque-of-bob", map[string]any{"sub": "bob"})
	all := []string{alice, bob, "opaque-of-alice", "opaque-of-bob"}
	gateway.Await("/1", alice, http.StatusOK)
	for _, token := range all {
		gateway.Get("/1", token).Expect(t, http.StatusOK)
	}
	exchanged, asked := len(idp.Forms()), len(opaque.Asked())

	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice"}`)
	wantCleared(t, gateway, 1, 1, 1, 2)
	for _, token := range []string{alice, "opaque-of-alice"} {
		gateway.Get("/1", token).Expect(t, http.StatusUnauthorized)
	}
	for _, token := range []string{bob, "opaque-of-bob"} {
		gateway.Get("/1", token).Expect(t, http.StatusOK)
	}
	if now := len(idp.Forms()); now != exchanged {
		t.Errorf("%d exchanges after the revocation: bob's tokens were cleared too", now-exchanged)
	}
	if now := len(opaque.Asked()); now != asked+1 {
		t.Errorf("%d questions after the revocation, want one, about alice's token", now-asked)
	}
}

// What was derived by a configuration of before goes as well: a reload hands it on.
func TestRevocationClearsAfterReload(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	idp.Introspects(t)
	gateway := harness.Start(t, derivedCaddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice := idp.Token(map[string]any{"sub": "alice", "sid": "s-1"})
	gateway.Await("/1", alice, http.StatusOK)
	if err := gateway.Reload(strings.Replace(derivedCaddyfile, "token_auth main", "header x-reloaded yes\n\ttoken_auth main", 1)); err != nil {
		t.Fatal(err)
	}
	revoke(t, gateway, `{"kind": "session", "issuer": "`+idp.URL+`", "value": "s-1"}`)
	wantCleared(t, gateway, 1, 1, 0, 1)
	gateway.Get("/1", alice).Expect(t, http.StatusUnauthorized)
	if err := gateway.Reload(derivedCaddyfile); err != nil {
		t.Fatal(err)
	}
	gateway.Get("/1", alice).Expect(t, http.StatusUnauthorized)
}

// A bound by time and one by key find what was issued as they find the token.
func TestRevocationClearsByTimeAndKey(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	idp.Introspects(t)
	gateway := harness.Start(t, derivedCaddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	old := idp.Token(map[string]any{"sub": "alice", "iat": 1_700_000_000})
	fresh := idp.Token(map[string]any{"sub": "alice", "jti": "fresh"})
	gateway.Await("/1", old, http.StatusOK)
	gateway.Get("/1", fresh).Expect(t, http.StatusOK)
	exchanged := len(idp.Forms())
	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice", "before": "2024-01-01T00:00:00Z"}`)
	wantCleared(t, gateway, 1, 1, 0, 1)
	gateway.Get("/1", old).Expect(t, http.StatusUnauthorized)
	gateway.Get("/1", fresh).Expect(t, http.StatusOK)
	if now := len(idp.Forms()); now != exchanged {
		t.Error("what was issued for the newer token was cleared too")
	}
	revoke(t, gateway, `{"kind": "key", "issuer": "`+idp.URL+`", "value": "`+idp.Key.ID+`"}`)
	wantCleared(t, gateway, 2, 2, 0, 1) // the refused one was read once more
	gateway.Get("/1", fresh).Expect(t, http.StatusUnauthorized)
}
