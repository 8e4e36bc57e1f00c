package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// RFC 9700, section 4.13: no copy of a token that the caller sent stays where the
// gateway puts its own, nor where services look for tokens.
func TestExchangeC20Sanitized(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
`+harness.MainAndClient+`		exchange orders {
			client gateway
			audience orders
			inject X-Upstream-Token
		}
	}
}
$SITE {
	handle /cookie {
		token_auth {
			from cookie access_token
			from header Authorization
		}
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /stream {
		token_auth {
			from query access_token
		}
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle {
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token := idp.Token(nil)
	gateway.Await("/", token, http.StatusOK)
	forge := func(request *http.Request) {
		for _, name := range []string{"DPoP", "Txn-Token", "X-Upstream-Token", "X_Upstream_Token", "txn_token"} {
			request.Header[name] = []string{"canary-forged"}
		}
	}
	bearer := gateway.Request(http.MethodGet, "/", token)
	bearer.Header.Set("Txn-Token", "canary-forged")
	bearer.Header["X_Upstream_Token"] = []string{"canary-forged"}
	cookie := gateway.Request(http.MethodGet, "/cookie", "")
	cookie.Header.Set("Cookie", "a=b; access_token="+token+"; c=d")
	forge(cookie)
	cookie.Header.Del("DPoP") // beside a cookie it is a presentation of its own
	query := gateway.Request(http.MethodGet, "/stream?a=b&access_token="+token, "")
	query.Header.Set("Accept", "text/event-stream")
	forge(query)
	query.Header.Del("DPoP")
	for name, request := range map[string]*http.Request{"header": bearer, "cookie": cookie, "query": query} {
		t.Run(name, func(t *testing.T) {
			gateway.Do(request).Expect(t, http.StatusOK)
			got := upstream.Last(t)
			if got.Holds(token) || got.Holds("canary-forged") {
				t.Errorf("the upstream got %s?%s %v", got.Path, got.Query, got.Header)
			}
			if harness.Claims(t, got.Header.Get("X-Upstream-Token"))["aud"] != "orders" {
				t.Errorf("the gateway's token is gone: %v", got.Header)
			}
			if name == "cookie" && !strings.Contains(got.Header.Get("Cookie"), "c=d") {
				t.Errorf("other cookies are gone: %v", got.Header)
			}
		})
	}
}
