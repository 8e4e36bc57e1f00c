package integration_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const derivedListed = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			fetch_timeout 1s
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
		exchange stock {
			grant local
			audience stock
			scope orders:read
		}
		sign {
			issuer $SITE
		}
	}
}
$SITE {
	token_service {
		endpoints token introspect
		client worker {
			auth secret_hash $HASH
			grants token_exchange
			subject_issuer main
			subject_type access_token
			audience billing
			scope orders:read
			opaque
		}
	}
	token_auth
	handle /orders {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /stock {
		token_exchange stock
		reverse_proxy $UPSTREAM
	}
}
`

// Once a list says that a token is no longer good, nothing more is made of it, and what
// was made of it before and is remembered is out of its reach: it is asked about the
// caller's own token before anything is looked for. The token service exchanges it no
// longer, and says of what it gave for it what it said before.
func TestStatusListBeforeWhatIsRemembered(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	list := idp.Lists("/statuslists/1")
	list.Change(shortTTL)
	gateway := harness.Start(t, derivedListed, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$HASH", harness.ServiceHash())
	caller := list.Token(6, map[string]any{"aud": []string{"https://api.example.com", "worker"}})
	exchange := harness.ExchangeForm("worker", caller, "audience", "billing")
	gateway.Await("/orders", caller, http.StatusOK)
	gateway.Get("/orders", caller).Expect(t, http.StatusOK)
	gateway.Get("/stock", caller).Expect(t, http.StatusOK)
	reference := gateway.Post("/oauth2/token", exchange).Expect(t, http.StatusOK).AccessToken()
	if calls := len(idp.Forms()); calls != 1 {
		t.Fatalf("%d exchanges, want 1 that is remembered", calls)
	}

	list.Set(6, 1)
	gateway.Await("/orders", caller, http.StatusUnauthorized)
	reached := len(upstream.Received())
	for range 3 {
		gateway.Get("/orders", caller).Expect(t, http.StatusUnauthorized)
		gateway.Get("/stock", caller).Expect(t, http.StatusUnauthorized)
		if answer := gateway.Post("/oauth2/token", exchange).Expect(t, http.StatusBadRequest); !strings.Contains(answer.Body, "invalid_request") {
			t.Errorf("the token service says %s", answer.Body)
		}
	}
	if calls, requests := len(idp.Forms()), len(upstream.Received())-reached; calls != 1 || requests != 0 {
		t.Errorf("%d exchanges, want 1; %d requests reached the upstream, want none", calls, requests)
	}
	if !slices.ContainsFunc(gateway.Audit(), func(line map[string]any) bool {
		reason, _ := line["reason"].(string)
		return line["directive"] == "token_service" && strings.Contains(reason, "status_invalid")
	}) {
		t.Errorf("the token service has other reasons: %v", gateway.Audit())
	}
	// It names no list, and ends by itself.
	asked := gateway.Post("/oauth2/introspect", harness.ServiceForm("worker", "token", reference)).Expect(t, http.StatusOK)
	if asked.Members()["active"] != true {
		t.Errorf("of what was issued before is said %s", asked.Body)
	}

	list.Set(6, 0)
	gateway.Await("/orders", caller, http.StatusOK)
	if calls := len(idp.Forms()); calls != 1 {
		t.Errorf("%d exchanges once it is good again, want the one that is remembered", calls)
	}
}
