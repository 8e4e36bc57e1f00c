package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const misplaced = `{
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
		}
		exchange billing {
			client gateway
			audience billing
			inject authorization Bearer
		}
		exchange hyphen {
			client gateway
			audience hyphen
			inject X-Token
		}
		exchange underscore {
			client gateway
			audience underscore
			inject X_Token
		}
	}
}
(routes) {
	handle /require {
		token_require scope orders:read
		reverse_proxy $UPSTREAM
	}
	handle /exchange {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /late {
		route {
			token_require scope orders:read
			token_auth
			reverse_proxy $UPSTREAM
		}
	}
	handle /twice {
		token_auth
		route {
			token_auth main
			reverse_proxy $UPSTREAM
		}
	}
	handle /two-exchanges {
		token_auth
		token_exchange orders
		token_exchange billing
		reverse_proxy $UPSTREAM
	}
	handle /two-spellings {
		token_auth
		token_exchange hyphen
		token_exchange underscore
		reverse_proxy $UPSTREAM
	}
	handle /good {
		token_auth
		reverse_proxy $UPSTREAM
	}
}
$SITE {
	import routes
	handle_errors {
		reverse_proxy $UPSTREAM {
			header_up X-Message "{http.error.message}"
		}
	}
}
$PLAIN {
	import routes
}
`

// A directive where it cannot work lets nobody in, whatever the token.
func TestMisplacedDirectives(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	plain := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, misplaced, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$PLAIN", plain)
	token := idp.Token(nil)
	gateway.Await("/good", token, http.StatusOK)
	reached := len(upstream.Received())

	tests := map[string]struct {
		problem string
		places  []string
	}{
		"/require":       {"token_require without a token_auth before it", []string{"token_require at Caddyfile:"}},
		"/exchange":      {"token_exchange without a token_auth before it", []string{"token_exchange at Caddyfile:"}},
		"/late":          {"token_require without a token_auth before it", []string{"token_require at Caddyfile:"}},
		"/twice":         {"two token_auth on one request", []string{"token_auth at Caddyfile:", "token_auth at Caddyfile:"}},
		"/two-spellings": {"two token_exchange for header X_token", []string{"token_exchange at Caddyfile:", "token_exchange at Caddyfile:"}},
		"/two-exchanges": {"two token_exchange for header Authorization", []string{"token_exchange at Caddyfile:", "token_exchange at Caddyfile:"}},
	}
	for path, test := range tests {
		for _, site := range []string{gateway.URL, plain} {
			t.Run(fmt.Sprintf("%s/routed=%t", path, site == gateway.URL), func(t *testing.T) {
				before := len(gateway.Lines("route is misconfigured"))
				got := gateway.Do(at(t, gateway, site, path, token)).Expect(t, map[bool]int{true: http.StatusOK, false: http.StatusInternalServerError}[site == gateway.URL])
				expectHeader(t, got, "WWW-Authenticate")
				if !strings.Contains(got.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("Cache-Control %q", got.Header["Cache-Control"])
				}
				text := got.Body
				if site == gateway.URL {
					text = upstream.Last(t).Header.Get("X-Message")
				}
				if !strings.Contains(text, "The server's configuration does not allow it to answer this request.") {
					t.Errorf("the caller is told %q", text)
				}
				harness.Eventually(t, "the fault is logged", func() bool { return len(gateway.Lines("route is misconfigured")) > before })
				line := gateway.Lines("route is misconfigured")[before]
				if line["problem"] != test.problem || line["level"] != "error" || line["path"] != path {
					t.Errorf("the log says %v", line)
				}
				places, _ := line["places"].([]any)
				if len(places) != len(test.places) {
					t.Fatalf("places %v, want %d", places, len(test.places))
				}
				for i, place := range places {
					if text, _ := place.(string); !strings.Contains(strings.ReplaceAll(text, "at /", "at "), "Caddyfile:") ||
						!strings.HasPrefix(text, strings.Fields(test.places[i])[0]) {
						t.Errorf("place %q, want one like %q", place, test.places[i])
					}
				}
			})
		}
	}
	// The upstream of the error routes is asked once a request, and no other.
	for _, got := range upstream.Received()[reached:] {
		if got.Header.Get("X-Message") == "" {
			t.Errorf("%s came through to the upstream", got.Path)
		}
	}
	expectNowhere(t, gateway, upstream, harness.Answer{}, token)
}
