//go:build interop

package node_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A user is sent from a weak login to a strong one by the challenge (RFC 9470), with
// the lines of examples/step-up, by tokens of both forms.
func TestOIDCProviderStepUp(t *testing.T) {
	for form := range both {
		t.Run(form, func(t *testing.T) { stepUp(t, form) })
	}
}

func stepUp(t *testing.T, form string) {
	t.Helper()
	// oidc-provider takes acr_values only beside openid.
	const scope = "openid orders:read payments:write"
	provider := node.NewProvider(t, map[string]node.Resource{opaque: {Scope: "orders:read payments:write", Format: form}})
	gateway := exampleStepUp(t, provider)
	person := provider.Person("carol")
	weak := person.Token(opaque, scope, nil)
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
	gateway.Get("/payments/1", person.Token(opaque, scope, nil)).Expect(t, http.StatusUnauthorized) // the session of before
	gateway.Get("/payments/1", person.Token(opaque, scope, asked)).Expect(t, http.StatusOK)
	gateway.Get("/payments/1", weak).Expect(t, http.StatusUnauthorized)
}

func exampleStepUp(t *testing.T, provider *node.Provider) *harness.Gateway {
	t.Helper()
	caddyfile, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "step-up", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, strings.NewReplacer(
		"https://idp.example.com/realms/main", provider.Issuer,
		"\t\t\taudience https://api.example.com\n", "\t\t\taudience https://api.example.com\n\t\t\tintrospection {\n\t\t\t\tclient gateway\n\t\t\t}\n",
		"\tgatehouse {\n", "\tgatehouse {\n\t\tclient gateway {\n\t\t\tissuer main\n\t\t\tclient_id gateway\n\t\t\tsecret "+node.GatewaySecret+"\n\t\t}\n",
		"\napi.example.com {", "\n$SITE {",
		"orders.internal:8080", harness.NewUpstream(t).Address,
	).Replace(string(caddyfile)))
}
