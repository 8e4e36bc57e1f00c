package node

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
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A Resource is an API that oidc-provider makes tokens for (RFC 8707).
type Resource struct {
	Scope  string `json:"scope"`
	Format string `json:"format"` // jwt or opaque
	TTL    int    `json:"ttl"`    // seconds; default: ten minutes
}

// Registered are the public JWKs of a gateway that proves itself by key or by
// certificate.
type Registered struct{ Key, Certificate map[string]any }

// A Provider is a running oidc-provider.
type Provider struct {
	// Issuer is its issuer identifier, and Secure where clients show certificates.
	Issuer, Secure string
	// CA is a PEM file with the certificate of Secure.
	CA string

	tb      testing.TB
	program *harness.Process
}

// NewProvider starts oidc-provider with those resources; it ends with the test.
// Keys are what its clients gateway-key and gateway-tls are registered with.
func NewProvider(tb testing.TB, resources map[string]Resource, keys ...Registered) *Provider {
	tb.Helper()
	open, secure := harness.FreeAddress(tb), harness.FreeAddress(tb)
	folder := tb.TempDir()
	certificate, key := serverCertificate(tb, folder)
	all := map[string]any{"http": open, "https": secure, "cert": certificate, "key": key, "resources": resources}
	for _, one := range keys {
		all["gatewayKey"], all["gatewayCertificate"] = one.Key, one.Certificate
	}
	settings, err := json.Marshal(all)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(folder, "settings.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		tb.Fatal(err)
	}
	program := Start(tb, Folder("interop/node"), "server.mjs", file)
	return &Provider{Issuer: "http://" + open, Secure: "https://" + secure, CA: certificate, tb: tb, program: program}
}

// Rotate lets a new key sign, which gets that ID. The one before it stays in the key
// set, and any older one goes.
func (p *Provider) Rotate(id string) {
	p.tb.Helper()
	p.program.Signal(syscall.SIGHUP)
	harness.Eventually(p.tb, id+" signs", func() bool { return strings.Contains(p.program.Output(), "rotated to "+id+"\n") })
}

func serverCertificate(tb testing.TB, folder string) (certificate, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "oidc-provider"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return WritePEM(tb, folder, "server.pem", "CERTIFICATE", der), WritePEM(tb, folder, "server.key", "PRIVATE KEY", secret)
}

// WritePEM writes a PEM file into a folder and returns its path.
func WritePEM(tb testing.TB, folder, name, kind string, content []byte) string {
	tb.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// A reply is what an endpoint of the provider answered.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

// text is a member of the answer, "" unless it is a text.
func (r reply) text(name string) string {
	text, _ := r.body[name].(string)
	return text
}

// A call is a form that a client with a secret sends to the provider.
type call struct {
	url, client string
	form        url.Values
	header      http.Header
	transport   http.RoundTripper // default: the ordinary one
}

// post sends a form.
func (p *Provider) post(c call) reply {
	p.tb.Helper()
	request, err := http.NewRequestWithContext(p.tb.Context(), http.MethodPost, c.url, strings.NewReader(c.form.Encode()))
	if err != nil {
		p.tb.Fatal(err)
	}
	maps.Copy(request.Header, c.header)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.client, callerSecret)
	answer, err := (&http.Client{Transport: c.transport}).Do(request)
	if err != nil {
		p.tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.tb.Fatal(err)
	}
	got := reply{status: answer.StatusCode, header: answer.Header}
	if len(body) > 0 && json.Unmarshal(body, &got.body) != nil {
		p.tb.Fatalf("POST %s: %d: %s", c.url, answer.StatusCode, body)
	}
	return got
}

// machine is the form of a request for a token without a user.
func machine(resource, scope string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {scope}}
}

// The secrets of the clients in clients.mjs.
const (
	callerSecret = "caller-secret"
	// GatewaySecret is that of the client gateway.
	GatewaySecret = "gateway-secret-of-at-least-32-bytes"
)

// Machine is a token of the client "caller" for a resource.
func (p *Provider) Machine(resource, scope string) string {
	p.tb.Helper()
	return p.token(p.post(call{url: p.Issuer + "/token", client: "caller", form: machine(resource, scope)}), "Bearer")
}

// Bound is a token that is bound to the key of a holder. The provider wants its
// own nonce in the proof (RFC 9449, section 8).
func (p *Provider) Bound(holder *harness.Holder, resource, scope string) string {
	p.tb.Helper()
	target := p.Issuer + "/token"
	ask := func(nonce string) reply {
		return p.post(call{
			url: target, client: "caller-dpop", form: machine(resource, scope),
			header: http.Header{"Dpop": {holder.Proof(http.MethodPost, target, "", nonce)}},
		})
	}
	first := ask("")
	nonce := first.header.Get("DPoP-Nonce")
	if first.status != http.StatusBadRequest || first.text("error") != "use_dpop_nonce" || nonce == "" {
		p.tb.Fatalf("without a nonce: %d %v", first.status, first.body)
	}
	return p.token(ask(nonce), "DPoP")
}

// Certified is a token that is bound to a certificate (RFC 8705).
func (p *Provider) Certified(certificate harness.Certificate, resource, scope string) string {
	p.tb.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the provider of this test, on loopback
		Certificates:       []tls.Certificate{certificate.Certificate},
	}}
	return p.token(p.post(call{
		url: p.Secure + "/token", client: "caller-mtls", form: machine(resource, scope), transport: transport,
	}), "Bearer")
}

// Revoke revokes a token at the provider (RFC 7009).
func (p *Provider) Revoke(token string) {
	p.tb.Helper()
	got := p.post(call{url: p.Issuer + "/token/revocation", client: "caller", form: url.Values{"token": {token}}})
	if got.status != http.StatusOK {
		p.tb.Fatalf("revoking: %d %v", got.status, got.body)
	}
}

func (p *Provider) token(got reply, kind string) string {
	p.tb.Helper()
	text := got.text("access_token")
	if got.status != http.StatusOK || got.text("token_type") != kind || text == "" {
		p.tb.Fatalf("asking for a token: %d %v", got.status, got.body)
	}
	return text
}
