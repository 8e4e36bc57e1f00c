package integration_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Error routes with an upstream of their own, behind what refuses before token_auth has
// taken the token off the request.
const earlyRefusals = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
	}
}
$SITE {
	token_resource https://api.example.com/orders
	route {
		token_limit all 1 1h
		token_auth
		respond ok
	}
	handle_errors {
		reverse_proxy $UPSTREAM
	}
}
`

func TestEarlyRefusalsKeepTheToken(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, earlyRefusals, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	caller := idp.Token(nil)
	gateway.Get("/", caller) // the one that the limit allows
	for _, refused := range []*http.Request{
		gateway.Request(http.MethodGet, "/", caller),
		gateway.Request(http.MethodPost, "/.well-known/oauth-protected-resource/orders", caller),
	} {
		seen := len(upstream.Received())
		gateway.Do(refused)
		if len(upstream.Received()) != seen+1 {
			t.Fatalf("%s %s did not reach the error route", refused.Method, refused.URL.Path)
		}
		if upstream.Last(t).Holds(caller) {
			t.Errorf("%s %s: the error route's upstream got the caller's token", refused.Method, refused.URL.Path)
		}
	}
}
