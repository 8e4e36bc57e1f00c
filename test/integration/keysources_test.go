package integration_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const metadataPlace = "/.well-known/openid-configuration"

// regionOf makes a server another region of an issuer: it publishes the issuer's
// own metadata, with the addresses of the first, as regions do that share one
// configuration.
func regionOf(t *testing.T, issuer *harness.AuthServer) *harness.AuthServer {
	t.Helper()
	region := harness.NewAuthServer(t)
	region.Handle(metadataPlace, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": issuer.URL, "jwks_uri": issuer.URL + "/jwks", "token_endpoint": issuer.URL + "/token",
		}))
	})
	region.Rotate(issuer.Key)
	region.Answer(func(form url.Values, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(tokentest.JSON(issuer.Issued(form, nil)))
	})
	return region
}

// While the first region is down, another one gives keys and tokens; once the
// first answers again, it is asked again.
func TestFallbackRegion(t *testing.T) {
	t.Parallel()
	first := harness.NewAuthServer(t)
	second, upstream := regionOf(t, first), harness.NewUpstream(t)
	first.Fail(http.StatusServiceUnavailable)
	gateway := harness.Start(t, `{
	gatehouse {
		issuer main $FIRST {
			audience https://api.example.com
			fallback $SECOND
			jwks_refresh 1s
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
			cache_entries off
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`, "$FIRST", first.URL, "$SECOND", second.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", first.Token(nil), http.StatusOK)
	if n, m := len(first.Forms()), len(second.Forms()); n != 0 || m == 0 {
		t.Errorf("%d tokens from the first, %d from the fallback", n, m)
	}
	if second.Hits("/jwks") == 0 || first.Hits("/jwks") != 0 {
		t.Error("the keys are not the fallback's")
	}
	first.Fail(0)
	harness.Eventually(t, "the first gives keys again", func() bool { return first.Hits("/jwks") > 0 })
	seen := len(second.Forms())
	gateway.Get("/", first.Token(nil)).Expect(t, http.StatusOK)
	if n := len(first.Forms()); n != 1 || len(second.Forms()) != seen {
		t.Errorf("%d tokens from the first after its return, %d more from the fallback", n, len(second.Forms())-seen)
	}
	fails, returns := gateway.Lines("server of an issuer fails"), gateway.Lines("server of an issuer answers again")
	if len(fails) != 1 || len(returns) != 1 || fails[0]["server"] != first.URL {
		t.Errorf("logged: %v, %v", fails, returns)
	}
	if lines := gateway.Lines("renewing keys"); len(lines) != 0 {
		t.Errorf("the issuer was called unreachable: %v", lines)
	}
}

// An outbound issuer is called and never believed, and its keys are nobody's
// concern.
func TestOutboundIssuer(t *testing.T) {
	t.Parallel()
	main, called, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
		issuer main $MAIN {
			audience https://api.example.com
		}
		issuer called $CALLED {
			outbound
		}
		client gateway {
			issuer called
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			subject_issuer main
			audience orders
			scope orders:read
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM {
		header_up X-User {http.auth.user.id}
	}
}
`, "$MAIN", main.URL, "$CALLED", called.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", main.Token(nil), http.StatusOK)
	if got := upstream.Last(t).Header.Get("X-User"); got != "alice" {
		t.Errorf("X-User %q: an outbound issuer counts as trusted", got)
	}
	if len(called.Forms()) != 1 {
		t.Errorf("%d requests for tokens at the outbound issuer", len(called.Forms()))
	}
	gateway.Get("/", called.Token(nil)).Expect(t, http.StatusUnauthorized)
	if n := called.Hits("/jwks"); n != 0 {
		t.Errorf("the keys of an outbound issuer were fetched %d times", n)
	}
	if strings.Contains(gateway.Metrics(), `keyset_refreshes_total{issuer="`+called.URL) {
		t.Error("an outbound issuer has a key set in the metrics")
	}
}

// The issuer may be a site of the very Caddy that validates its tokens: nothing
// waits for it while the configuration is loaded.
func TestIssuerServedByTheSameCaddy(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "k1")
	issuer := "http://" + harness.FreeAddress(t)
	const caddyfile = `{
	gatehouse {
		issuer own $ISSUER {
			audience https://api.example.com
		}
	}
}
$ISSUER {
	handle /.well-known/openid-configuration {
		respond <<JSON
			{"issuer":"$ISSUER","jwks_uri":"$ISSUER/jwks"}
			JSON
	}
	handle /jwks {
		respond <<JSON
			$SET
			JSON
	}
}
$SITE {
	token_auth
	respond {http.auth.user.id}
}
`
	gateway := harness.Start(t, caddyfile, "$ISSUER", issuer, "$SET", string(tokentest.Set(key)))
	token := key.Sign(nil, tokentest.Claims(issuer, nil))
	if answer := gateway.Await("/", token, http.StatusOK); answer.Body != "alice" {
		t.Errorf("body %q", answer.Body)
	}
	// A reload, in which the issuer's site is replaced, costs no request.
	if err := gateway.Reload(strings.Replace(caddyfile, "respond {http.auth", "respond again{http.auth", 1)); err != nil {
		t.Fatal(err)
	}
	if answer := gateway.Get("/", token).Expect(t, http.StatusOK); answer.Body != "againalice" {
		t.Errorf("body %q", answer.Body)
	}
}

// Known keys serve while the issuer is down, until jwks_max_stale. The outage is
// told once, when it begins and when it ends: by a log line and by a Caddy event.
func TestOutageAndRecovery(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, `{
	debug
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			jwks_refresh 1s
			jwks_max_stale 8s
		}
	}
}
$SITE {
	token_auth
	respond in
}
`, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	stale := func(value string) func() bool {
		line := `caddy_gatehouse_keyset_stale{issuer="` + idp.URL + `"} ` + value
		return func() bool { return strings.Contains(gateway.Metrics(), line) }
	}
	idp.Fail(http.StatusServiceUnavailable)
	harness.Eventually(t, "the outage is noticed", func() bool { return events(gateway, "issuer_unreachable") == 1 })
	gateway.Get("/", idp.Token(nil)).Expect(t, http.StatusOK)
	harness.Eventually(t, "the keys are called stale", stale("1"))
	gateway.Await("/", idp.Token(nil), http.StatusServiceUnavailable)
	idp.Fail(0)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	harness.Eventually(t, "the keys are young again", stale("0"))
	harness.Eventually(t, "the end of the outage is told", func() bool { return events(gateway, "issuer_recovered") == 1 })
	if n := events(gateway, "issuer_unreachable"); n != 1 {
		t.Errorf("the outage was told %d times", n)
	}
	warnings := 0
	for _, line := range gateway.Lines("renewing keys") {
		if line["level"] == "warn" {
			warnings++
		}
	}
	if warnings != 1 || len(gateway.Lines("renewing keys works again")) != 1 {
		t.Errorf("%d warnings of the outage, %d lines of its end", warnings, len(gateway.Lines("renewing keys works again")))
	}
}

// events counts the Caddy events of that name.
func events(gateway *harness.Gateway, name string) (count int) {
	for _, line := range gateway.Lines("event") {
		if line["logger"] == "events" && line["name"] == name && line["origin"] == "gatehouse" {
			count++
		}
	}
	return count
}
