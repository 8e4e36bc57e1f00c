package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Section 3.5: a token above 6 KiB is passed on, and the operator is told once that
// it may be too long for an upstream; one above 16 KiB is no token.
func TestExchangeLongToken(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"orders": "audience orders"})
	long := strings.Repeat("canary", 1100)
	issue := func(text string) {
		site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
			_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"access_token": text}))
		})
	}
	issue(long)
	for _, id := range []string{"a", "b", "c"} {
		site.Get("/orders", site.idp.Token(map[string]any{"jti": id})).Expect(t, http.StatusOK)
		if got := site.upstream.Last(t).Bearer(); got != long {
			t.Errorf("the upstream got %d bytes", len(got))
		}
	}
	const said = "an upstream token is longer than many servers allow"
	harness.Eventually(t, "it is said", func() bool { return len(site.Lines(said)) > 0 })
	if lines := site.Lines(said); len(lines) != 1 || lines[0]["exchange"] != "orders" {
		t.Errorf("the log says %v", lines)
	}
	if strings.Contains(site.Log(), "canarycanary") {
		t.Error("the token is in the log")
	}
	issue(strings.Repeat("a", 16<<10+1))
	site.Get("/orders", site.idp.Token(map[string]any{"jti": "d"})).Expect(t, http.StatusBadGateway)
}

const longMint = `{
	storage file_system $STORAGE
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		sign {
			issuer https://gateway.example
		}
		exchange orders {
			grant local
			audience orders
			claim one groups
			claim two groups
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

// A token that the gateway mints has the same bound, whatever its caller's says.
func TestMintLongToken(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, longMint, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$STORAGE", t.TempDir())
	groups := func(size int) string { return idp.Token(map[string]any{"groups": strings.Repeat("canary", size/6)}) }
	gateway.Await("/", groups(5000), http.StatusOK)
	reached := len(upstream.Received())
	gateway.Get("/", groups(7000)).Expect(t, http.StatusForbidden)
	if len(upstream.Received()) != reached {
		t.Error("the upstream got the request")
	}
	const reason = "with the claims that are copied from the caller's the token would be longer than 16 KiB"
	harness.Eventually(t, "the audit trail says why", func() bool {
		log := gateway.Log()
		return strings.Contains(log, `"rule":"too_long"`) && strings.Contains(log, reason)
	})
	if strings.Contains(gateway.Log(), "canarycanary") {
		t.Error("the claim is in the log")
	}
}
