//go:build interop

package keycloak

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The JWT authorization grant: callers of another company, whose users the realm
// knows, get a token of the realm.
func TestJWTGrant(t *testing.T) {
	partner := harness.NewAuthServer(t)
	r := newRealm(t, "https://partner.example.com", partner.URL)
	upstream := harness.NewUpstream(t)
	gateway := r.gateway(granting, upstream, "$PARTNER", partner.URL)
	assertion := func(subject, id string) string {
		return partner.Token(map[string]any{
			"sub": subject, "aud": r.issuer, "jti": id, "exp": time.Now().Add(2 * time.Minute).Unix(), "scope": nil,
		})
	}
	known := assertion("partner-alice", "first")
	gateway.Await("/", known, http.StatusOK)
	first := upstream.Last(t)
	claims := harness.Claims(t, first.Bearer())
	// This grant knows no audience: what the client's scopes and roles add is there.
	audience, _ := claims["aud"].([]any)
	if claims["iss"] != r.issuer || !slices.Contains(audience, any("orders")) || claims["azp"] != "gateway" {
		t.Errorf("the upstream's token holds %v", claims)
	}
	gateway.Get("/", known).Expect(t, http.StatusOK) // Keycloak takes an assertion once; the gateway remembers
	if again := upstream.Last(t).Bearer(); again != first.Bearer() {
		t.Error("the assertion was redeemed twice")
	}
	gateway.Get("/", assertion("partner-nobody", "second")).Expect(t, http.StatusUnauthorized)
	expectNoTokens(t, gateway)
}

const granting = `{
	gatehouse {
		issuer partner $PARTNER {
			audience $ISSUER
		}
		client gateway {
			issuer $ISSUER
			client_id gateway
			secret gateway-secret
		}
		exchange orders {
			grant jwt_bearer
			client gateway
			subject_issuer partner
			scope_exact orders:read
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`
