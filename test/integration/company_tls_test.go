package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const automatic = `{
	skip_install_trust
	local_certs
	http_port $HTTP
	https_port $TLS
	storage file_system $DIR
	on_demand_tls {
		ask http://$SIDE/ask
	}
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope a
		}
	}
}
(job) {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
named.localhost {
	import job
}
https:// {
	tls {
		on_demand
	}
	import job
}
$SITE {` + ready + `
}
`

// A tlsCompany is a gateway that makes certificates of its own authority by itself:
// for the name of a site at the start, and for others when somebody asks for them.
type tlsCompany struct {
	company

	plain, secure string // addresses
	roots         *x509.CertPool
}

func startTLSCompany(t *testing.T) tlsCompany {
	t.Helper()
	c := tlsCompany{company: company{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), side: harness.NewUpstream(t)}}
	c.side.Respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("domain") != "wanted.example" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	c.plain, c.secure = harness.FreeAddress(t), harness.FreeAddress(t)
	folder := t.TempDir()
	c.Gateway = harness.Start(t, automatic, "$IDP", c.idp.URL, "$UPSTREAM", c.upstream.Address, "$SIDE", c.side.Address,
		"$HTTP", portOf(t, c.plain), "$TLS", portOf(t, c.secure), "$DIR", folder)
	c.Await("/ready", c.token(nil), http.StatusNoContent)
	root, err := os.ReadFile(filepath.Join(folder, "pki", "authorities", "local", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(root)
	harness.Eventually(t, "the site has its certificate", func() bool { return c.handshake("named.localhost") == nil })
	return c
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// handshake tries whether there is a good certificate for a name.
func (c tlsCompany) handshake(name string) error {
	conn, err := tls.Dial("tcp", c.secure, &tls.Config{RootCAs: c.roots, ServerName: name})
	if err != nil {
		return err
	}
	return conn.Close()
}

// ways are clients of each version of HTTP that find every name on loopback.
func (c tlsCompany) ways(t *testing.T) map[int]http.RoundTripper {
	t.Helper()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, c.secure)
	}
	trust := &tls.Config{RootCAs: c.roots}
	h1 := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial}
	h2 := &http.Transport{TLSClientConfig: trust.Clone(), DialContext: dial, ForceAttemptHTTP2: true}
	h3 := &http3.Transport{
		TLSClientConfig: trust.Clone(),
		Dial: func(ctx context.Context, _ string, settings *tls.Config, quicSettings *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, c.secure, settings, quicSettings)
		},
	}
	t.Cleanup(func() {
		h1.CloseIdleConnections()
		h2.CloseIdleConnections()
		_ = h3.Close()
	})
	return map[int]http.RoundTripper{1: h1, 2: h2, 3: h3}
}

// ask sends a request to a name, and expects that version of HTTP and a status.
func (c tlsCompany) ask(t *testing.T, way http.RoundTripper, version int, name, token string, status int) harness.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name+":"+portOf(t, c.secure)+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := way.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.ProtoMajor != version {
		t.Errorf("HTTP/%d, want %d", answer.ProtoMajor, version)
	}
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}.Expect(t, status)
}

// Certificates that Caddy makes by itself, at the start or at the first handshake,
// serve the plugin's sites over each version of HTTP. Names that the ask endpoint
// refuses get no certificate, and it hears of no token.
func TestAutomaticHTTPS(t *testing.T) {
	t.Parallel()
	c := startTLSCompany(t)
	token := c.token(nil)
	for version, way := range c.ways(t) {
		for _, name := range []string{"named.localhost", "wanted.example"} {
			got := c.ask(t, way, version, name, token, http.StatusOK)
			if version < 3 && !strings.Contains(got.Header.Get("Alt-Svc"), "h3=") {
				t.Errorf("%s by HTTP/%d: Alt-Svc %q does not offer HTTP/3", name, version, got.Header.Get("Alt-Svc"))
			}
			c.expectExchanged(t, token)
			problemOf(t, c.ask(t, way, version, name, "bad", http.StatusUnauthorized))
		}
	}
	if err := c.handshake("refused.example"); err == nil {
		t.Error("a name that the ask endpoint refuses got a certificate")
	}
	for _, asked := range c.side.Received() {
		if asked.Holds(token) || len(asked.Header["Authorization"]) > 0 {
			t.Errorf("the ask endpoint got %q", asked.Header)
		}
	}
	if len(c.side.Received()) < 2 {
		t.Error("the ask endpoint was not asked")
	}
}

// What comes without TLS is sent to the same name with it, and goes no further.
func TestAutomaticRedirect(t *testing.T) {
	t.Parallel()
	c := startTLSCompany(t)
	token := c.token(nil)
	request := at(t, c.Gateway, "http://"+c.plain, "/1", token)
	request.Host = "named.localhost:" + portOf(t, c.plain)
	got := c.Do(request).Expect(t, http.StatusPermanentRedirect)
	expectHeader(t, got, "Location", "https://named.localhost/1")
	expectNowhere(t, c.Gateway, c.upstream, got, token)
	if len(c.upstream.Received()) != 0 {
		t.Error("a request without TLS reached the upstream")
	}
}
