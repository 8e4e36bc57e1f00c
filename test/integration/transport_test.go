package integration_test

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const transported = `{
	gatehouse {
` + harness.BoundOrders + `	}
}
$SITE {
	token_auth
	token_exchange orders
	rewrite * /api{uri}
	reverse_proxy $TO {
		lb_policy first
		lb_try_duration 10s
		transport gatehouse {
			$WORDS
		}
	}
}
`

// service starts an upstream that speaks one version of HTTP, and returns where it
// listens and the words of the transport for it.
func service(t *testing.T, handler http.Handler, version string) (address, words string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	switch version {
	case "h2c":
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://"), "versions h2c"
	case "2":
		server.EnableHTTP2 = true
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	words = "tls_trust_pool file " + authority + "\nversions " + version
	if version == "2" {
		words += " 1.1"
	}
	if version == "3" {
		return overQUIC(t, handler, server.TLS.Certificates), words
	}
	return strings.TrimPrefix(server.URL, "https://"), words
}

func overQUIC(t *testing.T, handler http.Handler, certificates []tls.Certificate) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{
		Handler:   handler,
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS13}),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(socket)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = socket.Close()
		<-ended
	})
	return socket.LocalAddr().String()
}

// The proof is for the URL as the upstream sees it, whichever way it is asked.
func TestTransportProvesOverEveryHTTP(t *testing.T) {
	t.Parallel()
	for version, major := range map[string]int{"1.1": 1, "2": 2, "h2c": 2, "3": 3} {
		t.Run(version, func(t *testing.T) {
			idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
			idp.Handle("/bound-token", judge.tokens(idp, nil))
			upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != major || (r.TLS == nil) != (version == "h2c") {
					t.Errorf("the upstream is asked by %s", r.Proto)
				}
				judge.upstream(w, r)
			})
			address, words := service(t, upstream, version)
			gateway := harness.Start(t, transported, "$IDP", idp.URL, "$TO", address, "$WORDS", words)
			gateway.Await("/orders/a%20b?q=1", idp.Token(nil), http.StatusOK)
			scheme, host := "https", address
			if version == "h2c" {
				scheme, host = "http", strings.TrimPrefix(gateway.URL, "http://")
			}
			got := upstream.Last(t)
			if htu := harness.Claims(t, got.Header.Get("DPoP"))["htu"]; htu != scheme+"://"+host+"/api/orders/a%20b" {
				t.Errorf("the proof is for %v", htu)
			}
			// Another proof for each request, over the same connection.
			gateway.Get("/orders/2", idp.Token(nil)).Expect(t, http.StatusOK)
		})
	}
}

// A request that is tried again elsewhere has a proof for elsewhere.
func TestTransportProvesEachTry(t *testing.T) {
	t.Parallel()
	idp, first, second, judge := harness.NewAuthServer(t), harness.NewUpstream(t), harness.NewUpstream(t), newJudge(t)
	idp.Handle("/bound-token", judge.tokens(idp, nil))
	first.Respond(func(_ http.ResponseWriter, r *http.Request) {
		judge.check(r, strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP "))
		panic(http.ErrAbortHandler)
	})
	second.Respond(judge.upstream)
	one, words := service(t, first, "1.1")
	two, _ := service(t, second, "1.1") // httptest has one certificate
	text := strings.Replace(transported, "lb_try_duration 10s", "lb_try_duration 10s\nfail_duration 30s", 1)
	gateway := harness.Start(t, text, "$IDP", idp.URL, "$TO", one+" "+two, "$WORDS", words)
	gateway.Await("/orders", idp.Token(nil), http.StatusOK)
	for address, upstream := range map[string]*harness.Upstream{one: first, two: second} {
		got := upstream.Last(t)
		if htu := harness.Claims(t, got.Header.Get("DPoP"))["htu"]; htu != "https://"+address+"/api/orders" {
			t.Errorf("the upstream at %s got a proof for %v", address, htu)
		}
	}
}
