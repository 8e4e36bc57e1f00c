package attack_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// behindCaddyfile has a token_auth behind a token_exchange that serves callers without
// a token, which a route in this order makes.
const behindCaddyfile = `{
	gatehouse {
` + harness.MainAndClient + `		exchange open {
			grant client_credentials
			client gateway
			audience open
			scope_exact little
			anonymous
		}
	}
}
$SITE {
	handle /known {
		token_auth main
		reverse_proxy $UPSTREAM
	}
	handle /behind {
		route {
			token_exchange open
			token_auth main
			reverse_proxy $UPSTREAM {
				header_up X-User {http.auth.user.id}
			}
		}
	}
	handle /optional {
		route {
			token_exchange open
			token_auth main {
				optional
			}
			reverse_proxy $UPSTREAM
		}
	}
	handle /failed {
		token_exchange open
		reverse_proxy $NOWHERE
	}
	handle_errors 502 {
		token_auth main {
			optional
		}
		respond "{http.auth.user.id} is nobody" 502
	}
}
`

// The gateway's own token is nobody's credential: a token_auth that would find it on
// the request would let everybody in as the gateway.
func TestAttack52OwnTokenAsCredential(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	idp.Answer(func(form url.Values, w http.ResponseWriter) { // good at the front door as well
		_ = json.NewEncoder(w).Encode(idp.Issued(form, map[string]any{"access_token": idp.Token(map[string]any{"sub": "gateway"}), "scope": "little"}))
	})
	gateway := harness.Start(t, behindCaddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$NOWHERE", harness.FreeAddress(t))
	gateway.Await("/known", idp.Token(nil), http.StatusOK)
	reached := len(upstream.Received())
	for _, path := range []string{"/behind", "/optional"} {
		for _, token := range []string{"", idp.Token(nil), "not.a.token"} {
			gateway.Get(path, token).Expect(t, http.StatusInternalServerError)
		}
	}
	if len(upstream.Received()) != reached {
		t.Errorf("the upstream got %v", upstream.Last(t).Header)
	}
	const problem = "token_auth behind a token_exchange, whose token it would take for the caller's"
	harness.Eventually(t, "the log says what stands where", func() bool {
		for _, line := range gateway.Lines("route is misconfigured") {
			if places, _ := line["places"].([]any); line["problem"] != problem || len(places) != 2 {
				t.Fatalf("the log says %v", line)
			}
		}
		return len(gateway.Lines("route is misconfigured")) == 6
	})
	if got := gateway.Get("/failed", idp.Token(nil)).Expect(t, http.StatusBadGateway); got.Body != " is nobody" {
		t.Errorf("an error route answers %q", got.Body)
	}
}
