package integration_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// An exchange whose token is bound to a certificate. The client authenticates
// with the words of $AUTH.
const certified = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client c {
			issuer main
			client_id gateway
			trust_ca $FOLDER/ca
			$AUTH
		}
		exchange orders {
			client c
			audience orders
			bind mtls $FILES
			$ACCEPT
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	handle /stranger* {
		reverse_proxy https://$UPSTREAM {
			transport http {
				tls_client_auth $FOLDER/other $FOLDER/other.key
				tls_trust_pool file $FOLDER/ca
			}
		}
	}
	handle /follow* {
		reverse_proxy https://$UPSTREAM {
			transport gatehouse {
				tls_client_auth $FOLDER/cert $FOLDER/cert.key
				tls_trust_pool file $FOLDER/ca
				versions $VERSIONS
			}
		}
	}
	reverse_proxy https://$UPSTREAM {
		transport http {
			tls_client_auth $FOLDER/cert $FOLDER/cert.key
			tls_trust_pool file $FOLDER/ca
		}
	}
}
`

// A certifiedWorld has a server and an upstream that know RFC 8705.
type certifiedWorld struct {
	*harness.Upstream

	t           *testing.T
	idp         *harness.AuthServer
	alias       *httptest.Server
	service     *httptest.Server
	folder      string
	certificate harness.Certificate
	issued      atomic.Int32
	versions    string // of HTTP, to the upstream
}

func newCertifiedWorld(t *testing.T) *certifiedWorld {
	t.Helper()
	w := &certifiedWorld{
		t: t, idp: harness.NewAuthServer(t), Upstream: harness.NewUpstream(t), folder: t.TempDir(),
		certificate: harness.NewCertificate(t), versions: "1.1 2",
	}
	w.alias = w.idp.MutualTLS(t)
	w.service = httptest.NewUnstartedServer(w.Upstream)
	w.service.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	w.service.EnableHTTP2 = true
	w.service.StartTLS()
	t.Cleanup(w.service.Close)
	w.Respond(w.upstream)
	w.write("ca", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.service.Certificate().Raw}))
	w.show(w.certificate)
	other := harness.NewCertificate(t)
	other.Write(t, filepath.Join(w.folder, "other"), filepath.Join(w.folder, "other.key"))
	return w
}

func (w *certifiedWorld) write(name string, content []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *certifiedWorld) show(certificate harness.Certificate) {
	w.t.Helper()
	certificate.Write(w.t, filepath.Join(w.folder, "cert"), filepath.Join(w.folder, "cert.key"))
}

// start starts a gateway whose exchange has these words.
func (w *certifiedWorld) start(auth, files, accept string) *harness.Gateway {
	w.t.Helper()
	text := strings.NewReplacer("$AUTH", auth, "$FILES", files, "$ACCEPT", accept).Replace(certified)
	return harness.Start(w.t, text, "$IDP", w.idp.URL, "$FOLDER", w.folder, "$VERSIONS", w.versions, "$UPSTREAM", strings.TrimPrefix(w.service.URL, "https://"))
}

// shownBy is the x5t#S256 of what a client showed, "" for nothing.
func shownBy(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return harness.Thumbprint(r.TLS.PeerCertificates[0].Raw)
}

// upstream is a resource server (RFC 8705, section 3): the token must be bound to
// the certificate of the connection that brings it.
func (w *certifiedWorld) upstream(answer http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	cnf, _ := harness.Claims(w.t, token)["cnf"].(map[string]any)
	if shownBy(r) == "" || cnf["x5t#S256"] != shownBy(r) {
		answer.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer.WriteHeader(http.StatusOK)
}

// tokens is a token endpoint that binds to what it was shown, with changes.
func (w *certifiedWorld) tokens(changes map[string]any, known func(*http.Request) bool) {
	w.idp.Handle("/token", func(answer http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || !known(r) {
			w.t.Errorf("a request that proves nobody: %v", r.PostForm)
		}
		w.issued.Add(1)
		token := w.idp.Key.Sign(nil, w.idp.Claims(map[string]any{"aud": "orders", "cnf": map[string]any{"x5t#S256": shownBy(r)}}))
		members := map[string]any{"access_token": token}
		maps.Copy(members, changes)
		answer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(answer).Encode(w.idp.Issued(r.PostForm, members))
	})
}

func byClientSecret(r *http.Request) bool {
	id, secret, _ := r.BasicAuth()
	return id == harness.ClientID && secret == harness.ClientSecret
}

const clientSecret = "secret " + harness.ClientSecret

// RFC 8705, sections 3 and 5: a certificate is shown at the alias, however the
// client proves itself, and the upstream gets a token that is bound to it.
func TestExchangeC15AliasForBoundTokens(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "client-1")
	for name, test := range map[string]struct {
		auth, files string
		known       func(w *certifiedWorld) func(*http.Request) bool
	}{
		"basic": {clientSecret, "$FOLDER/cert $FOLDER/cert.key", func(*certifiedWorld) func(*http.Request) bool { return byClientSecret }},
		"none": {"auth none", "$FOLDER/cert $FOLDER/cert.key", func(*certifiedWorld) func(*http.Request) bool {
			return func(r *http.Request) bool { return r.PostForm.Get("client_id") == "gateway" }
		}},
		"tls": {"auth tls\ncertificate $FOLDER/cert $FOLDER/cert.key", "", func(w *certifiedWorld) func(*http.Request) bool {
			return func(r *http.Request) bool { return shownBy(r) == w.certificate.Thumbprint() }
		}},
		"tls, said twice": {"auth tls\ncertificate $FOLDER/cert $FOLDER/cert.key", "$FOLDER/cert $FOLDER/cert.key", func(w *certifiedWorld) func(*http.Request) bool {
			return func(r *http.Request) bool { return shownBy(r) == w.certificate.Thumbprint() }
		}},
		"private_key_jwt, its certificate": {
			"auth private_key_jwt\nkey $FOLDER/jwk\ncertificate $FOLDER/cert $FOLDER/cert.key\nassertion {\nheader x5t#S256\n}", "",
			func(w *certifiedWorld) func(*http.Request) bool {
				rule := &harness.AssertionRule{Key: key, Audience: w.idp.URL, Type: "client-authentication+jwt"}
				return func(r *http.Request) bool { return rule.Accepts(t, r) }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertifiedWorld(t)
			w.write("jwk", pemOf(t, key))
			known := test.known(w)
			w.tokens(nil, func(r *http.Request) bool {
				return known(r) && shownBy(r) == w.certificate.Thumbprint() && "https://"+r.Host == w.alias.URL
			})
			gateway := w.start(test.auth, test.files, "")
			token := w.idp.Token(nil)
			gateway.Await("/orders", token, http.StatusOK)
			gateway.Get("/again", token).Expect(t, http.StatusOK)
			if n := w.issued.Load(); n != 1 {
				t.Errorf("%d tokens were issued", n)
			}
			if w.Last(t).Holds(token) {
				t.Error("the caller's token reached the upstream")
			}
		})
	}
}

func pemOf(t *testing.T, key *tokentest.Key) []byte {
	t.Helper()
	folder := t.TempDir()
	certificate := harness.Certificate{Certificate: tls.Certificate{Certificate: [][]byte{{}}, PrivateKey: key.Private}}
	certificate.Write(t, filepath.Join(folder, "c"), filepath.Join(folder, "k"))
	content, err := os.ReadFile(filepath.Join(folder, "k"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What comes back bound to nothing or to something else is not used; nor is any
// token of a server that never looked at the certificate.
func TestBindMTLSRefusesOtherAnswers(t *testing.T) {
	t.Parallel()
	foreign := harness.NewCertificate(t)
	for name, test := range map[string]struct {
		claims map[string]any
		opaque bool
		asks   tls.ClientAuthType
	}{
		"not bound":               {map[string]any{"aud": "orders"}, false, tls.RequireAnyClientCert},
		"bound to another":        {map[string]any{"aud": "orders", "cnf": foreign.Binding()}, false, tls.RequireAnyClientCert},
		"bound to a key":          {map[string]any{"aud": "orders", "cnf": harness.NewHolder(t).Binding()}, false, tls.RequireAnyClientCert},
		"opaque, and never asked": {nil, true, tls.NoClientCert},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertifiedWorld(t)
			w.alias.TLS.ClientAuth = test.asks
			token := "opaque-canary"
			if !test.opaque {
				token = w.idp.Key.Sign(nil, w.idp.Claims(test.claims))
			}
			w.tokens(map[string]any{"access_token": token}, byClientSecret)
			gateway := w.start(clientSecret, "$FOLDER/cert $FOLDER/cert.key", "")
			gateway.Await("/orders", w.idp.Token(nil), http.StatusBadGateway)
			if n := len(w.Received()); n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
			harness.Eventually(t, "the log says what is wrong", func() bool {
				lines := gateway.Lines("authorization server gave an unusable answer")
				return len(lines) > 0 && strings.Contains(lines[0]["error"].(string), "certificate")
			})
		})
	}
}

// A token is no good over a connection that shows another certificate: the
// upstream says no, and the caller learns that it is not its fault.
func TestBindMTLSNeedsTheSameCertificate(t *testing.T) {
	t.Parallel()
	w := newCertifiedWorld(t)
	w.tokens(nil, byClientSecret)
	gateway := w.start(clientSecret, "$FOLDER/cert $FOLDER/cert.key", "")
	token := w.idp.Token(nil)
	gateway.Await("/orders", token, http.StatusOK)
	gateway.Get("/stranger", token).Expect(t, http.StatusBadGateway)
}

// A token that is verified may be bound to what was shown, and to nothing else.
func TestBindMTLSVerified(t *testing.T) {
	t.Parallel()
	const verify = "accept {\nverify main\n}"
	w := newCertifiedWorld(t)
	w.tokens(nil, byClientSecret)
	gateway := w.start(clientSecret, "$FOLDER/cert $FOLDER/cert.key", verify)
	gateway.Await("/orders", w.idp.Token(nil), http.StatusOK)
}

// When the files change, tokens are asked for anew, bound to what they hold then,
// and transport gatehouse shows the same: not one request fails.
func TestBindMTLSRotates(t *testing.T) {
	t.Parallel()
	for name, versions := range map[string]string{"HTTP/1.1": "1.1", "HTTP/2": "1.1 2"} {
		t.Run(name, func(t *testing.T) {
			w := newCertifiedWorld(t)
			w.versions = versions
			w.tokens(nil, byClientSecret)
			w.Respond(func(answer http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 != strings.Contains(versions, "2") {
					t.Errorf("the upstream is asked by %s", r.Proto)
				}
				w.upstream(answer, r)
			})
			gateway := w.start(clientSecret, "$FOLDER/cert $FOLDER/cert.key", "")
			token := w.idp.Token(nil)
			gateway.Await("/follow", token, http.StatusOK)
			next := harness.NewCertificate(t)
			w.show(next)
			harness.Eventually(t, "a token is bound to the new certificate", func() bool {
				gateway.Get("/follow", token).Expect(t, http.StatusOK)
				cnf, _ := harness.Claims(t, w.Last(t).Bearer())["cnf"].(map[string]any)
				return cnf["x5t#S256"] == next.Thumbprint()
			})
			if n := w.issued.Load(); n > 3 {
				t.Errorf("%d tokens were issued", n)
			}
		})
	}
}
