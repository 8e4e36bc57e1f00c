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

// A token that was got in exchange for one that is revoked anywhere reaches no upstream
// any more, also from the nodes that have it still.
func TestExchangedTokensEnd(t *testing.T) {
	c := emptyCluster(t)
	provider := harness.NewAuthServer(t)
	tokens := serveTLS(t, c.shown, provider)
	for range 3 {
		c.add("$STORE", strings.ReplaceAll(exchangeBlock, "$TOKENS", tokens)+storeRedis, "reverse_proxy", "token_exchange orders\n\treverse_proxy").boot()
	}
	for _, each := range c.nodes {
		each.await()
	}
	token, other := c.issue(nil), c.issue(nil)
	for _, each := range c.nodes {
		for _, held := range []*held{token, other} {
			if status := each.ask("/orders/1", held.text); status != http.StatusOK {
				t.Fatalf("%s answers %d", each.name, status)
			}
			if got := c.world.bearer(); got == "" || got == held.text {
				t.Errorf("%s gave the upstream no exchanged token", each.name)
			}
		}
	}
	asked := len(provider.Forms())
	c.nodes[2].mustRevoke(t, token)
	for _, each := range c.nodes {
		eventually(t, each.name+" refuses the token", func() bool { return each.ask("/orders/1", token.text) == http.StatusUnauthorized })
		if status := each.ask("/orders/1", other.text); status != http.StatusOK {
			t.Errorf("%s answers %d to another caller", each.name, status)
		}
	}
	if again := len(provider.Forms()); again != asked {
		t.Errorf("the server was asked %d times for what the nodes had already", again-asked)
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
