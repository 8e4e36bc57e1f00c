package integration_test

import (
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A challenge that sends clients to metadata which nothing answers is a warning: another
// server may answer there.
func TestResourceMetadataWarnsAtLoad(t *testing.T) {
	t.Parallel()
	const (
		warned = "no token_resource answers with the metadata that resource sends clients to: write token_resource with this URL, unless another server answers there"
		auth   = "token_auth {\nresource https://api.example.com/orders\n}\nrespond in"
		served = "token_resource https://api.example.com/orders {\nauthorization_servers https://idp.example.com\n}\n"
		other  = "token_resource https://api.example.com/bills\n"
	)
	for name, test := range map[string]struct {
		routes, tls string
		warns       bool
	}{
		"nothing answers":   {auth, "", true},
		"in a handle":       {"handle {\n" + auth + "\n}", "", true},
		"another resource":  {other + auth, "", true},
		"on the same site":  {served + auth, "", false},
		"on another site":   {auth, served, false},
		"in a handle there": {auth, "handle /.well-known/* {\n" + served + "}", false},
		"no resource":       {"token_auth\nrespond in", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
			idp := harness.NewAuthServer(t)
			gateway := harness.Start(t, strings.NewReplacer("$GLOBAL", "", "$ROUTES", test.routes, "$TLS", "tls internal\n"+test.tls, "$PORT", port).Replace(siteWords), "$IDP", idp.URL)
			if test.warns {
				harness.Eventually(t, "it is said", func() bool { return len(gateway.Lines(warned)) > 0 })
			}
			lines := gateway.Lines(warned)
			if len(lines) > 0 != test.warns {
				t.Fatalf("%d warnings", len(lines))
			}
			if place, _ := lineField(lines, "place").(string); test.warns && !strings.Contains(place, "Caddyfile:") {
				t.Errorf("the warning has the place %q", place)
			}
			if metadata := lineField(lines, "metadata"); test.warns && metadata != "https://api.example.com/.well-known/oauth-protected-resource/orders" {
				t.Errorf("the warning names %v", metadata)
			}
		})
	}
}
