package attack_test

import (
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const metadataPlace = "/.well-known/openid-configuration"

// An issuer's metadata names addresses that the gateway calls. Those of an issuer
// elsewhere must not lead to what listens on the gateway's own machine.
func TestAttack20MetadataLeadsInside(t *testing.T) {
	w := attacked(t)
	for _, keys := range []string{
		w.trap.URL + "/jwks", strings.Replace(w.trap.URL, "127.0.0.1", "localhost", 1),
		strings.Replace(w.trap.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), "http://169.254.169.254/latest/meta-data",
	} {
		t.Run(keys, func(t *testing.T) {
			issuer, ca := metadataServer(t, map[string]any{"jwks_uri": keys})
			gateway := harness.Start(t, `{
	gatehouse {
		issuer main $ISSUER {
			audience any
			trust_ca $CA
		}
	}
}
$SITE {
	token_auth
	respond in
}
`, "$ISSUER", issuer.URL, "$CA", ca)
			<-issuer.asked
			gateway.Get("/", w.thief.Sign(nil, tokentest.Claims(issuer.URL, nil))).Expect(t, http.StatusServiceUnavailable)
			w.trap.untouched(t)
		})
	}
}

// A tlsIssuer is an issuer with TLS that has nothing but metadata.
type tlsIssuer struct {
	*httptest.Server

	asked chan struct{} // filled whenever somebody asks
}

// metadataServer starts an issuer whose metadata has these members beside its name.
// It returns the file with the certificate to trust, too.
func metadataServer(t *testing.T, members map[string]any) (issuer *tlsIssuer, ca string) {
	t.Helper()
	issuer = &tlsIssuer{asked: make(chan struct{}, 100)}
	issuer.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		issuer.asked <- struct{}{}
		all := map[string]any{"issuer": issuer.URL}
		maps.Copy(all, members)
		_, _ = rw.Write(tokentest.JSON(all))
	}))
	t.Cleanup(issuer.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return issuer, ca
}

// A fallback speaks for the issuer only if it says so itself, and from where it
// was configured to be.
func TestAttack33FallbackElsewhere(t *testing.T) {
	w := attacked(t)
	tests := map[string]http.HandlerFunc{
		"redirects": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, w.trap.URL+metadataPlace, http.StatusTemporaryRedirect)
		},
		"another issuer": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(tokentest.JSON(map[string]any{"issuer": w.trap.URL, "jwks_uri": w.trap.URL + "/jwks"}))
		},
		"no issuer": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(tokentest.JSON(map[string]any{"jwks_uri": w.trap.URL + "/jwks"}))
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			first, fallback := harness.NewAuthServer(t), harness.NewAuthServer(t)
			first.Fail(http.StatusServiceUnavailable)
			fallback.Handle(metadataPlace, answer)
			gateway := harness.Start(t, regions, "$FIRST", first.URL, "$FALLBACK", fallback.URL)
			harness.Eventually(t, "the fallback was asked", func() bool { return fallback.Hits(metadataPlace) > 0 })
			for _, key := range []*tokentest.Key{w.thief, fallback.Key, first.Key} {
				gateway.Get("/", key.Sign(nil, first.Claims(nil))).Expect(t, http.StatusServiceUnavailable)
			}
			w.trap.untouched(t)
		})
	}
}

const regions = `{
	gatehouse {
		issuer main $FIRST {
			audience https://api.example.com
			fallback $FALLBACK
			jwks_refresh 1s
			jwks_max_stale 3s
		}
	}
}
$SITE {
	token_auth
	respond in
}
`

// An outage opens nothing: not while keys serve, not past their bound, when the
// token that passed a moment ago is still remembered.
func TestAttack35KeysPastTheirBound(t *testing.T) {
	w := attacked(t)
	first, fallback := harness.NewAuthServer(t), harness.NewAuthServer(t)
	fallback.Fail(http.StatusServiceUnavailable)
	gateway := harness.Start(t, regions, "$FIRST", first.URL, "$FALLBACK", fallback.URL)
	good := first.Token(nil)
	gateway.Await("/", good, http.StatusOK)
	forged := w.thief.Sign(nil, first.Claims(nil))
	gateway.Get("/", forged).Expect(t, http.StatusUnauthorized)
	first.Fail(http.StatusServiceUnavailable)
	gateway.Await("/", good, http.StatusServiceUnavailable)
	for _, token := range []string{good, first.Token(map[string]any{"jti": "another"}), forged, fallback.Token(map[string]any{"iss": first.URL})} {
		answer := gateway.Get("/", token).Expect(t, http.StatusServiceUnavailable)
		if answer.Header.Get("Retry-After") == "" || answer.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("header %v", answer.Header)
		}
	}
	gateway.Get("/", "").Expect(t, http.StatusUnauthorized)
	// The end of the outage ends it, for good tokens alone.
	first.Fail(0)
	gateway.Await("/", good, http.StatusOK)
	gateway.Get("/", forged).Expect(t, http.StatusUnauthorized)
}

// An issuer that is only called signs nothing that is believed here: not in its
// own name, not in the name of the trusted one.
func TestAttack05OutboundIssuer(t *testing.T) {
	main, called := harness.NewAuthServer(t), harness.NewAuthServer(t)
	gateway := harness.Start(t, `{
	gatehouse {
		issuer main $MAIN {
			audience https://api.example.com
		}
		issuer called $CALLED {
			outbound
		}
	}
}
$SITE {
	token_auth
	respond in
}
`, "$MAIN", main.URL, "$CALLED", called.URL)
	gateway.Await("/", main.Token(nil), http.StatusOK)
	for _, token := range []string{
		called.Token(nil), called.Token(map[string]any{"iss": main.URL}), called.Key.Sign(map[string]any{"kid": nil}, main.Claims(nil)),
		main.Token(map[string]any{"iss": called.URL}),
	} {
		gateway.Get("/", token).Expect(t, http.StatusUnauthorized)
	}
	if n := called.Hits("/jwks") + called.Hits(metadataPlace); n != 0 {
		t.Errorf("the outbound issuer was asked %d times", n)
	}
}
