package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const listed = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			fetch_timeout 1s
		}
	}
}
$SITE {
	token_auth
	respond in
}
`

// Every five seconds is as often as a list may ask to be fetched.
var shortTTL = map[string]any{"ttl": 1}

func TestStatusList(t *testing.T) {
	idp := harness.NewAuthServer(t)
	list := idp.Lists("/statuslists/1")
	list.Change(shortTTL)
	list.Set(7, 1)
	list.Set(8, 2)
	gateway := harness.Start(t, listed, "$IDP", idp.URL)
	good, plain := list.Token(6, nil), idp.Token(nil)
	gateway.Await("/", plain, http.StatusOK)
	if list.Hits() != 0 {
		t.Error("a list was fetched that nobody named")
	}
	gateway.Get("/", good).Expect(t, http.StatusOK)
	for _, index := range []int{7, 8, 1000} {
		answer := gateway.Get("/", list.Token(index, nil)).Expect(t, http.StatusUnauthorized)
		if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("entry %d: %s", index, challenge)
		}
	}
	if list.Hits() != 1 {
		t.Errorf("%d fetches, want 1", list.Hits())
	}

	// The token is remembered, and refused all the same once the list says so.
	list.Set(6, 1)
	harness.Eventually(t, "the revoked token is refused", func() bool {
		return gateway.Get("/", good).Status == http.StatusUnauthorized
	})
	list.Set(6, 0)
	harness.Eventually(t, "the token is good again", func() bool {
		return gateway.Get("/", good).Status == http.StatusOK
	})
	gateway.Get("/", plain).Expect(t, http.StatusOK)
}
