//go:build interop

package node_test

import (
	"crypto/tls"
	"io"
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

// The resources that the provider knows. The first two are the gateway's.
const (
	opaque = "https://api.example.com"
	jwt    = "https://jwt.example.com"
	other  = "https://other.example.com"
	orders = "https://orders.example.com"
)

// both are the resources of the gateway by the form of their tokens.
var both = map[string]string{"opaque": opaque, "jwt": jwt}

// A world is oidc-provider, a gateway that trusts it, and an upstream.
type world struct {
	*harness.Gateway

	provider *node.Provider
	upstream *harness.Upstream
	secure   string // where the gateway asks for certificates
}

// resources are what the provider makes tokens for.
var resources = map[string]node.Resource{
	opaque: {Scope: "orders:read orders:write", Format: "opaque"},
	jwt:    {Scope: "orders:read orders:write", Format: "jwt"},
	other:  {Scope: "orders:read", Format: "opaque"},
	orders: {Scope: "orders:read", Format: "jwt"},
}

// start starts all three, with changes to the gateway's Caddyfile.
func start(t *testing.T, changes ...string) *world {
	t.Helper()
	w := startWith(t, node.NewProvider(t, resources), changes...)
	w.Await("/", w.provider.Machine(jwt, "orders:read"), http.StatusOK)
	return w
}

// startWith starts a gateway and an upstream for a provider.
func startWith(t *testing.T, provider *node.Provider, changes ...string) *world {
	t.Helper()
	w := &world{provider: provider, upstream: harness.NewUpstream(t)}
	caddyfile, err := os.ReadFile(filepath.Join(node.Folder("interop/node"), "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	address := harness.FreeAddress(t)
	w.secure = "https://localhost" + address[strings.LastIndex(address, ":"):]
	w.Gateway = harness.Start(t, strings.NewReplacer(changes...).Replace(string(caddyfile)),
		"$ISSUER", w.provider.Issuer, "$UPSTREAM", w.upstream.Address, "$SECURE", w.secure)
	return w
}

// refuses asks with a token and wants a 401 whose cause is in the audit trail.
func (w *world) refuses(t *testing.T, token, rule string) {
	t.Helper()
	lines := len(w.Audit())
	w.Get("/", token).Expect(t, http.StatusUnauthorized)
	w.denied(t, lines, rule)
}

// denied waits for the next line of the audit trail.
func (w *world) denied(t *testing.T, lines int, rule string) {
	t.Helper()
	harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(w.Audit()) > lines })
	if line := w.Audit()[lines]; line["rule"] != rule {
		t.Errorf("audit: %v, want rule %s", line, rule)
	}
}

// certified asks the site with TLS, with certificates.
func (w *world) certified(t *testing.T, path, token string, certificates ...tls.Certificate) harness.Answer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			Certificates:       certificates,
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.secure+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
}
