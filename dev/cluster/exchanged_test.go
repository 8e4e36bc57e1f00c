//go:build cluster

package cluster_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// exchangeBlock exchanges callers' tokens at the server of world.tokens.
const exchangeBlock = `client gateway {
			token_endpoint $TOKENS/token
			client_id ` + harness.ClientID + `
			secret ` + harness.ClientSecret + `
			trust_ca $CA
		}
		exchange orders {
			client gateway
			subject_issuer main
			audience orders
		}
		`

// A token that one node got in exchange serves on the others, until the caller's token
// is revoked anywhere.
func TestExchangedTokensAreShared(t *testing.T) {
	c := emptyCluster(t)
	provider := harness.NewAuthServer(t)
	tokens := serveTLS(t, c.shown, provider)
	for range 3 {
		c.add("$STORE", strings.ReplaceAll(exchangeBlock, "$TOKENS", tokens)+storeRedis, "reverse_proxy", "token_exchange orders\n\treverse_proxy").boot()
	}
	for _, each := range c.nodes {
		each.await()
	}
	token := c.issue(nil)
	var seen []string
	for _, each := range c.nodes {
		if status := each.ask("/orders/1", token.text); status != http.StatusOK {
			t.Fatalf("%s answers %d", each.name, status)
		}
		seen = append(seen, c.world.bearer())
	}
	if asked := len(provider.Forms()); asked != 1 {
		t.Errorf("three nodes asked %d times for one token", asked)
	}
	if seen[0] == token.text || seen[0] == "" || seen[1] != seen[0] || seen[2] != seen[0] {
		t.Error("the upstream did not get the one exchanged token from all nodes")
	}
	figures.setf("one caller's token exchanged on three nodes", "%d call to the server", len(provider.Forms()))
	c.nodes[2].mustRevoke(t, token)
	for _, each := range c.nodes {
		eventually(t, each.name+" refuses the token", func() bool { return each.ask("/orders/1", token.text) == http.StatusUnauthorized })
	}
}

// serveTLS serves on the callers' network, and returns the URL.
func serveTLS(tb testing.TB, shown certificate, handler http.Handler) string {
	tb.Helper()
	server := unstarted(tb, handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{shown.pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	return "https://" + server.Listener.Addr().String()
}
