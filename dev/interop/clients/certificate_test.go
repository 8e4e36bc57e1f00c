//go:build interop

package clients_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Both libraries prove themselves by a certificate (RFC 8705), and use the token that is
// bound to it.
func TestClientCertificates(t *testing.T) {
	node.Install(t, node.Folder("interop/clients"))
	site := startSecure(t)
	for _, script := range []string{"oauth4webapi-tls.mjs", "openid-client-tls.mjs"} {
		t.Run(script, func(t *testing.T) {
			got := site.run(t, script)
			methods, _ := got.Metadata["token_endpoint_auth_methods_supported"].([]any)
			if !slices.Contains(methods, any("tls_client_auth")) || got.Metadata["tls_client_certificate_bound_access_tokens"] != true {
				t.Errorf("the metadata say %v", got.Metadata)
			}
			if diff := cmp.Diff(any(site.mine.Binding()), harness.Claims(t, got.Bound.Token)["cnf"]); diff != "" {
				t.Errorf("cnf (-want +got):\n%s", diff)
			}
			got.Bound.is(t, answer{Type: "bearer", Scope: "billing:read"})
			if got.API != workload {
				t.Errorf("the API said %q", got.API)
			}
			challenge := refusal{"OAUTH_WWW_AUTHENTICATE_CHALLENGE", "", http.StatusUnauthorized}
			refused := map[string]refusal{"other": challenge, "none": challenge}
			if diff := cmp.Diff(refused, got.Refused); diff != "" {
				t.Errorf("without its certificate (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(refused, got.Thief); diff != "" {
				t.Errorf("with a token of another's (-want +got):\n%s", diff)
			}
		})
	}
}

// workload is the client, and the name in its certificate.
const workload = "spiffe://example.com/orders"

// A secure is a gateway that verifies certificates of clients.
type secure struct {
	*harness.Gateway

	issuer, ca  string
	mine, other harness.Certificate
}

func startSecure(t *testing.T) *secure {
	t.Helper()
	caddyfile, err := os.ReadFile(filepath.Join(node.Folder("interop/clients"), "tls.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	authority := harness.NewAuthority(t)
	_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
	s := &secure{issuer: "https://localhost:" + port, mine: authority.Issue(workload), other: authority.Issue("spiffe://example.com/other")}
	s.Gateway = harness.Start(t, string(caddyfile), "$SECURE", s.issuer, "$CA", authority.File)
	s.Await("/oauth2/ready", "", http.StatusOK)
	var known struct {
		Root string `json:"root_certificate"`
	}
	harness.Eventually(t, "Caddy has made its authority", func() bool {
		answer, err := http.Get(s.Admin + "/pki/ca/local")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return json.NewDecoder(answer.Body).Decode(&known) == nil && known.Root != ""
	})
	s.ca = known.Root
	return s
}

// A boundReport is what a script with certificates got.
type boundReport struct {
	Metadata       map[string]any
	Bound          answer
	API            string
	Refused, Thief map[string]refusal // by whose certificate was shown
}

func (s *secure) run(t *testing.T, script string) (got boundReport) {
	t.Helper()
	settings := map[string]string{"issuer": s.issuer, "ca": s.ca, "api": s.issuer + "/billing/invoices"}
	for prefix, certificate := range map[string]harness.Certificate{"": s.mine, "other_": s.other} {
		folder := t.TempDir()
		files := map[string]string{"cert": filepath.Join(folder, "cert"), "key": filepath.Join(folder, "key")}
		certificate.Write(t, files["cert"], files["key"])
		for name, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			settings[prefix+name] = string(content)
		}
	}
	runScript(t, script, settings, &got)
	return got
}
