package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const nonceNode = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
$SEALS
	}
}
$SITE {
	token_auth {
		dpop_nonce
		public_url https://api.example.com
	}
	respond ok
}
`

// A client that got a nonce of one node comes to another one next. Where they have a
// seal in common it is good there, while the seal rotates as well; else it is not.
func TestNoncesOfSeveralNodes(t *testing.T) {
	t.Parallel()
	idp, holder := harness.NewAuthServer(t), harness.NewHolder(t)
	start := func(seals ...string) *harness.Gateway {
		var words strings.Builder
		for _, seal := range seals {
			words.WriteString("seal " + strings.Repeat(seal, 32) + "\n")
		}
		gateway := harness.Start(t, nonceNode, "$IDP", idp.URL, "$SEALS", words.String())
		gateway.Await("/", idp.Token(nil), http.StatusOK)
		return gateway
	}
	ask := func(gateway *harness.Gateway, nonce string) harness.Answer {
		token := idp.Token(map[string]any{"cnf": holder.Binding()})
		return gateway.Do(holder.Prove(gateway.Request(http.MethodGet, "/", ""), "https://api.example.com/", token, nonce))
	}
	first, second, rotating := start("a"), start("a"), start("b", "a")
	nonce := ask(first, "").Expect(t, http.StatusUnauthorized).Header.Get("DPoP-Nonce")
	for name, gateway := range map[string]*harness.Gateway{"itself": first, "the same seal": second, "another one first": rotating} {
		t.Run(name, func(t *testing.T) { ask(gateway, nonce).Expect(t, http.StatusOK) })
	}
	for name, gateway := range map[string]*harness.Gateway{"another seal": start("c"), "none": start()} {
		t.Run(name, func(t *testing.T) {
			refused := ask(gateway, nonce).Expect(t, http.StatusUnauthorized)
			ask(gateway, refused.Header.Get("DPoP-Nonce")).Expect(t, http.StatusOK)
		})
	}
}
