//go:build interop

package node_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// The resources that the provider knows. The gateway's own is jwt; opaque has the
// same audience in references.
const (
	api    = "https://api.example.com"
	other  = "https://other.example.com"
	orders = "https://orders.example.com"
)

// A run is oidc-provider, a gateway that trusts it, and an upstream.
type run struct {
	*harness.Gateway

	provider *node.Provider
	upstream *harness.Upstream
	secure   string
}

// start starts all three. format is that of the tokens for the gateway's API.
func start(t *testing.T, format string, changes ...string) *run {
	t.Helper()
	r := &run{upstream: harness.NewUpstream(t)}
	r.provider = node.NewProvider(t, map[string]node.Resource{
		api:    {Scope: "orders:read orders:write", Format: format},
		other:  {Scope: "orders:read", Format: format},
		orders: {Scope: "orders:read", Format: "jwt"},
	})
	caddyfile, err := os.ReadFile(filepath.Join(node.Folder("interop/node"), "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(changes...).Replace(string(caddyfile))
	address := harness.FreeAddress(t)
	r.secure = "https://localhost" + address[strings.LastIndex(address, ":"):]
	r.Gateway = harness.Start(t, text, "$ISSUER", r.provider.Issuer, "$UPSTREAM", r.upstream.Address, "$SECURE", r.secure)
	return r
}

func TestOpaque(t *testing.T) {
	r := start(t, "opaque")
	token := r.provider.User("alice", api, "orders:read")
	if strings.Contains(token, ".") {
		t.Fatal("the token is a JWT")
	}
	r.Await("/", token, http.StatusOK)
}
