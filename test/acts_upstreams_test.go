package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// instances are the services of examples/resilient-upstreams: one of orders is
// dead, the others are the test's.
type instances struct {
	dead                string
	good                *harness.Upstream
	billing, billingToo *harness.Upstream
}

func newInstances(t *testing.T) *instances {
	t.Helper()
	return &instances{
		dead: harness.FreeAddress(t), good: harness.NewUpstream(t),
		billing: harness.NewUpstream(t), billingToo: harness.NewUpstream(t),
	}
}

func (i *instances) replaced(caddyfile string) string {
	return strings.NewReplacer(
		"orders-1.internal:8080", i.dead, "orders-2.internal:8080", i.good.Address,
		"billing-1.internal:8080", i.billing.Address, "billing-2.internal:8080", i.billingToo.Address,
	).Replace(caddyfile)
}

// fitUpstreams puts the test's services in the places of the example's.
func (s *stage) fitUpstreams(t *testing.T, name, caddyfile string) string {
	t.Helper()
	if name == "resilient-upstreams" {
		s.instances = newInstances(t)
		return s.instances.replaced(caddyfile)
	}
	s.mesh = newMesh(t, s)
	own := harness.FreeAddress(t)
	return strings.NewReplacer(
		"gateway.internal:8443 {", "gateway.internal"+own[strings.LastIndex(own, ":"):]+" {",
		"orders.internal:8443", s.mesh.service,
		"\tskip_install_trust\n", "\tskip_install_trust\n\tauto_https disable_redirects\n",
	).Replace(caddyfile)
}

func actResilientUpstreams(t *testing.T, s *stage) {
	t.Helper()
	token := s.idp.Token(map[string]any{"scope": "orders:read orders:write"})
	s.Await("/orders/1", token, http.StatusOK)
	send := func(method, path string) harness.Answer {
		request := s.Request(method, path, token)
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader("body")), 4
		return s.Do(request)
	}
	for range 6 { // whichever instance is first: a dead one costs nobody the request
		send(http.MethodPost, "/orders/dead").Expect(t, http.StatusOK)
	}
	breaks := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	s.instances.billing.Respond(breaks)
	s.instances.billingToo.Respond(breaks)
	s.isProblem(t, send(http.MethodPost, "/billing/once"), http.StatusBadGateway)
	if n := s.arrived("/billing/once"); n != 1 {
		t.Errorf("a POST arrived %d times", n)
	}
	s.instances.billing.Respond(nil)
	s.instances.billingToo.Respond(nil)
	for range 2 { // the one that failed once is not left alone yet
		s.Get("/billing/1", token).Expect(t, http.StatusOK)
	}
	s.leavesSlowOnesAlone(t, token)
	s.isProblem(t, s.Get("/orders/1", ""), http.StatusUnauthorized)
	s.tokensStayHome(t, token)
}

// leavesSlowOnesAlone lets one instance hang: requests are answered by the other,
// and after two failures it gets none.
func (s *stage) leavesSlowOnesAlone(t *testing.T, token string) {
	t.Helper()
	s.instances.billing.Respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for range 4 {
		s.Get("/billing/slow", token).Expect(t, http.StatusOK)
	}
	before := len(s.instances.billing.Received())
	for range 6 {
		s.Get("/billing/slow", token).Expect(t, http.StatusOK)
	}
	if n := len(s.instances.billing.Received()) - before; n != 0 {
		t.Errorf("a hanging instance got %d requests more", n)
	}
	s.instances.billingToo.Respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s.isProblem(t, s.Do(s.Request(http.MethodPost, "/billing/hangs", token)), http.StatusGatewayTimeout)
	if n := s.arrived("/billing/hangs"); n != 1 {
		t.Errorf("a POST arrived %d times", n)
	}
}

func (s *stage) arrived(path string) (count int) {
	for _, instance := range []*harness.Upstream{s.instances.billing, s.instances.billingToo} {
		for _, got := range instance.Received() {
			if got.Path == path {
				count++
			}
		}
	}
	return count
}

func (s *stage) isProblem(t *testing.T, answer harness.Answer, status int) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(answer.Body), &body); err != nil || body["status"] != float64(status) ||
		answer.Status != status || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v: %s", answer.Status, answer.Header, answer.Body)
	}
}

// tokensStayHome: no retry carried a token to a service that it was not made for.
func (s *stage) tokensStayHome(t *testing.T, token string) {
	t.Helper()
	for audience, upstreams := range map[string][]*harness.Upstream{
		"orders": {s.instances.good}, "billing": {s.instances.billing, s.instances.billingToo},
	} {
		for _, upstream := range upstreams {
			if len(upstream.Received()) == 0 {
				t.Errorf("nothing reached an instance of %s", audience)
			}
			for _, got := range upstream.Received() {
				if harness.Claims(t, got.Bearer())["aud"] != audience || got.Holds(token) {
					t.Errorf("an instance of %s got %v", audience, got.Header)
				}
			}
		}
	}
}

// A mesh is what examples/upstream-mtls needs: a root, and a Caddy before the
// service.
type mesh struct {
	root    *x509.Certificate
	key     *ecdsa.PrivateKey
	service string
}

func newMesh(t *testing.T, s *stage) *mesh {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{key: key, service: harness.FreeAddress(t)}
	m.root = m.certificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "mesh root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"mesh-root.crt": {Type: "CERTIFICATE", Bytes: m.root.Raw}, "mesh-root.key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(s.folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// certificate makes one of the mesh, of the root itself without a parent.
func (m *mesh) certificate(t *testing.T, template, parent *x509.Certificate) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, m.key.Public(), m.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// start starts the Caddy before the service.
func (m *mesh) start(t *testing.T, s *stage) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "upstream-mtls", "service.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"orders.internal:8443 {", "orders.internal"+m.service[strings.LastIndex(m.service, ":"):]+" {\n\tbind 127.0.0.1",
		"localhost:8080", s.upstream.Address, "/etc/gatehouse", s.folder,
		"\tskip_install_trust\n", "\tskip_install_trust\n\tauto_https disable_redirects\n",
	).Replace(withoutPreface(string(content)))
	harness.Start(t, text)
}

func actUpstreamMTLS(t *testing.T, s *stage) {
	t.Helper()
	s.mesh.start(t, s)
	token := s.idp.Token(map[string]any{"scope": "orders:read"})
	s.Await("/orders/1", token, http.StatusOK)
	if got := s.upstream.Last(t); harness.Claims(t, got.Bearer())["aud"] != "orders" || got.Holds(token) {
		t.Errorf("the service got %v", got.Header)
	}
	reached := len(s.upstream.Received())
	stranger := s.mesh.certificate(t, &x509.Certificate{
		DNSNames: []string{"desk.internal"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, s.mesh.root)
	for name, certificates := range map[string][]tls.Certificate{
		"without a certificate": nil,
		"with another's":        {{Certificate: [][]byte{stranger.Raw}, PrivateKey: s.mesh.key}},
	} {
		if answer, err := s.mesh.get(certificates); err == nil {
			t.Errorf("%s: %d", name, answer)
		}
	}
	if n := len(s.upstream.Received()) - reached; n != 0 {
		t.Errorf("strangers reached the service %d times", n)
	}
	s.mesh.expectShort(t)
}

func (m *mesh) config(certificates []tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(m.root)
	return &tls.Config{RootCAs: pool, ServerName: "orders.internal", Certificates: certificates, MinVersion: tls.VersionTLS12}
}

func (m *mesh) get(certificates []tls.Certificate) (int, error) {
	transport := &http.Transport{TLSClientConfig: m.config(certificates), DisableKeepAlives: true}
	request, err := http.NewRequest(http.MethodGet, "https://"+m.service+"/orders/1", http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Host = "orders.internal"
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// expectShort fails unless the service's certificate lives for hours only.
func (m *mesh) expectShort(t *testing.T) {
	t.Helper()
	config, shown := m.config(nil), (*x509.Certificate)(nil)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		shown = state.PeerCertificates[0]
		return nil
	}
	if conn, err := tls.Dial("tcp", m.service, config); err == nil {
		_ = conn.Close()
	}
	if shown == nil || shown.NotAfter.Sub(shown.NotBefore) > 7*time.Hour {
		t.Errorf("the service shows %v", shown)
	}
}
