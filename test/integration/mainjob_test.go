package integration_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// mainJob is the configuration that the README shows, between a server and an
// upstream of the test.
const mainJob = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
	}
}
$SITE {
	token_auth
	handle /orders/* {
		token_require scope orders:read
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle {
		reverse_proxy $UPSTREAM
	}
}
`

func TestMainJob(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token := idp.Token(nil)

	gateway.Await("/orders/1", token, http.StatusOK)
	got := upstream.Last(t)
	if got.Holds(token) {
		t.Error("the caller's token reached the upstream")
	}
	claims := harness.Claims(t, got.Bearer())
	if claims["aud"] != "orders" || claims["scope"] != "orders:read" {
		t.Errorf("the upstream's token says %v", claims)
	}
	form := idp.Forms()[0]
	want := map[string][]string{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"audience":           {"orders"},
		"scope":              {"orders:read"},
	}
	if diff := cmp.Diff(want, map[string][]string(form)); diff != "" {
		t.Errorf("the request for the token (-want +got):\n%s", diff)
	}

	for range 5 {
		gateway.Get("/orders/2", token).Expect(t, http.StatusOK)
	}
	if n := len(idp.Forms()); n != 1 {
		t.Errorf("%d exchanges for one token, want 1", n)
	}

	gateway.Get("/other", token).Expect(t, http.StatusOK)
	if got := upstream.Last(t); got.Bearer() != "" {
		t.Error("without token_exchange the upstream got a token")
	}
}
