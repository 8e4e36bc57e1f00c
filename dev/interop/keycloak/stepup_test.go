//go:build interop

package keycloak

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A user is sent from a weak login to a strong one by the challenge (RFC 9470),
// with the lines of examples/step-up.
func TestStepUp(t *testing.T) {
	r := newRealm(t)
	gateway := example(t, "step-up", r, harness.NewUpstream(t))
	person := r.newPerson("carol")
	weak := person.login("orders:read payments:write", url.Values{"acr_values": {"silver"}}).access
	if acr := harness.Claims(t, weak)["acr"]; acr != "silver" {
		t.Fatalf("acr is %v after a password", acr)
	}
	gateway.Await("/orders/1", weak, http.StatusOK)
	challenge := gateway.Get("/payments/1", weak).Expect(t, http.StatusUnauthorized).Header.Get("WWW-Authenticate")
	if !strings.Contains(challenge, `error="insufficient_user_authentication"`) {
		t.Fatalf("the challenge is %q", challenge)
	}
	asked := url.Values{}
	for _, parameter := range regexp.MustCompile(`(acr_values|max_age)="([^"]+)"`).FindAllStringSubmatch(challenge, -1) {
		asked.Set(parameter[1], parameter[2])
	}
	if len(asked) != 2 {
		t.Fatalf("the challenge is %q", challenge)
	}
	strong := person.login("orders:read payments:write", asked).access
	if claims := harness.Claims(t, strong); claims["acr"] != "gold" || claims["auth_time"] == nil {
		t.Fatalf("after both factors: %v", claims)
	}
	gateway.Get("/payments/1", strong).Expect(t, http.StatusOK)
	gateway.Get("/payments/1", weak).Expect(t, http.StatusUnauthorized)
}
