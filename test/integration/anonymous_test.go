package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// openExchange is an exchange that serves anybody.
const openExchange = `
		client gateway {
			token_endpoint $IDP/token
			client_id gateway
			secret canary-client-secret
		}
		exchange open {
			grant client_credentials
			client gateway
			scope_exact catalogue:read
			anonymous
		}
`

// anonymousSites have exchanges that serve anybody, and no token_auth before them.
const anonymousSites = `{
	gatehouse {
` + openExchange + `		exchange header {
			grant client_credentials
			client gateway
			scope_exact stock:read
			anonymous
			inject X-Token
		}
	}
}
(routes) {
	handle /open {
		token_exchange open
		reverse_proxy $UPSTREAM
	}
	handle /header {
		token_exchange header
		reverse_proxy $UPSTREAM
	}
	handle /both {
		token_exchange open
		token_exchange header
		reverse_proxy $UPSTREAM
	}
	handle /same {
		token_exchange open
		token_exchange open
		reverse_proxy $UPSTREAM
	}
	handle /down {
		token_exchange open
		reverse_proxy $NOWHERE
	}
}
$SITE {
	import routes
}
$ROUTED {
	import routes
	handle_errors {
		token_exchange header
		reverse_proxy $UPSTREAM
	}
}
`

// Where no token_auth looked, what the caller presents ends at the exchange all the
// same: in trailers, in the routes for errors, and whatever becomes of the exchange.
func TestExchangeAnonymousKeepsTheCallersToken(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	routed := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, anonymousSites, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$ROUTED", routed,
		"$NOWHERE", harness.FreeAddress(t))
	const canary = "canary-somebodys-token"

	for _, path := range []string{"/open", "/header"} {
		request := gateway.Request(http.MethodPost, path, canary)
		request.Body, request.ContentLength = readCloser{strings.NewReader("body")}, -1
		request.Trailer = http.Header{"Authorization": {"Bearer " + canary}, "Dpop": {canary}, "X-Checksum": {"sum"}}
		gateway.Do(request).Expect(t, http.StatusOK)
		got := upstream.Last(t)
		if got.Header = got.Trailer; got.Holds(canary) || got.Trailer.Get("X-Checksum") != "sum" {
			t.Errorf("%s: the upstream got the trailers %v", path, got.Trailer)
		}
	}

	gateway.Do(at(t, gateway, routed, "/down", canary)).Expect(t, http.StatusOK)
	if got := upstream.Last(t); got.Holds(canary) || got.Header.Get("X-Token") == "" || got.Header.Get("Authorization") != "" {
		t.Errorf("the upstream of the error routes got %v", got.Header)
	}
}

// Each of several exchanges fills its own header, and none fills another's.
func TestExchangeAnonymousTwice(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, anonymousSites, "$IDP", idp.URL, "$UPSTREAM", upstream.Address,
		"$ROUTED", "http://"+harness.FreeAddress(t), "$NOWHERE", harness.FreeAddress(t))
	gateway.Get("/both", "").Expect(t, http.StatusOK)
	got := upstream.Last(t)
	if first, second := harness.Claims(t, got.Bearer()), harness.Claims(t, got.Header.Get("X-Token")); first["scope"] != "catalogue:read" ||
		second["scope"] != "stock:read" {
		t.Errorf("the upstream got %v and %v", first, second)
	}
	gateway.Get("/same", "").Expect(t, http.StatusInternalServerError)
	harness.Eventually(t, "the log says which header", func() bool {
		lines := gateway.Lines("route is misconfigured")
		return len(lines) == 1 && lines[0]["problem"] == "two token_exchange for header Authorization"
	})
}

// A readCloser is a body of a length that nobody knows.
type readCloser struct{ *strings.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }
