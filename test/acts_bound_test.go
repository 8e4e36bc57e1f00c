package test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// fitBound gives examples/bound-upstream its certificates, an authorization server
// that binds tokens to what it is shown, and the address of the service.
func (s *stage) fitBound(t *testing.T, caddyfile string) string {
	t.Helper()
	s.mesh = newMesh(t, s)
	server := s.mesh.certificate(t, &x509.Certificate{DNSNames: []string{"payments.internal"}}, s.mesh.root)
	harness.Certificate{Certificate: tls.Certificate{Certificate: [][]byte{server.Raw}, PrivateKey: s.mesh.key}}.Write(t,
		filepath.Join(s.folder, "payments.crt"), filepath.Join(s.folder, "payments.key"))
	harness.NewCertificate(t).Write(t, filepath.Join(s.folder, "gateway.crt"), filepath.Join(s.folder, "gateway.key"))
	alias := s.idp.MutualTLS(t)
	for name, certificate := range map[string]*x509.Certificate{"payments-ca.crt": s.mesh.root, "alias-ca.crt": alias.Certificate()} {
		content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
		if err := os.WriteFile(filepath.Join(s.folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer(
		"payments.internal:8443", s.mesh.service,
		"\t\t\tclient_id gateway\n", "\t\t\tclient_id gateway\n\t\t\ttrust_ca "+filepath.Join(s.folder, "alias-ca.crt")+"\n",
	).Replace("\n" + caddyfile)
}

// startBound starts the Caddy before the service.
func (s *stage) startBound(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "bound-upstream", "service.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	harness.Start(t, strings.NewReplacer(
		"payments.internal:8443 {", "payments.internal"+s.mesh.service[strings.LastIndex(s.mesh.service, ":"):]+" {\n\tbind 127.0.0.1",
		"https://idp.example.com/realms/main", s.idp.URL, "localhost:8080", s.upstream.Address,
		"/etc/gatehouse", s.folder, "{\n\tgatehouse {", "{\n\tauto_https disable_redirects\n\tgatehouse {",
	).Replace(withoutPreface(string(content))))
}

func actBoundUpstream(t *testing.T, s *stage) {
	t.Helper()
	s.startBound(t)
	var issued atomic.Value
	s.idp.Handle("/token", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); r.ParseForm() != nil || id != harness.ClientID || secret != harness.ClientSecret || r.TLS == nil {
			t.Errorf("the server was asked with %v", r.Header)
		}
		token := s.idp.Token(map[string]any{
			"aud": "payments", "cnf": map[string]any{"x5t#S256": harness.Thumbprint(r.TLS.PeerCertificates[0].Raw)},
		})
		issued.Store(token)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.idp.Issued(r.PostForm, map[string]any{"access_token": token}))
	})
	token := s.idp.Token(nil)
	s.Await("/", token, http.StatusOK)
	if s.upstream.Last(t).Holds(token) {
		t.Error("the caller's token reached the service")
	}
	reached := len(s.upstream.Received())
	stolen, _ := issued.Load().(string)
	gateway, err := tls.LoadX509KeyPair(filepath.Join(s.folder, "gateway.crt"), filepath.Join(s.folder, "gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	if status, err := s.bring(t, stolen, gateway); status != http.StatusOK {
		t.Fatalf("with the gateway's certificate: %d, %v", status, err)
	}
	if status, err := s.bring(t, stolen, harness.NewCertificate(t).Certificate); status != http.StatusUnauthorized {
		t.Errorf("with another certificate: %d, %v", status, err)
	}
	if status, err := s.bring(t, stolen); err == nil {
		t.Errorf("without a certificate: %d", status)
	}
	if n := len(s.upstream.Received()) - reached; n != 1 {
		t.Errorf("%d requests reached the service, and one had the certificate", n)
	}
}

// bring brings a token to the service over a connection with these certificates.
func (s *stage) bring(t *testing.T, token string, certificates ...tls.Certificate) (int, error) {
	t.Helper()
	config := s.mesh.config(certificates)
	config.ServerName = "payments.internal"
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	request, err := http.NewRequest(http.MethodGet, "https://"+s.mesh.service+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "payments.internal"
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
