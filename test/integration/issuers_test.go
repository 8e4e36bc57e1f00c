package integration_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const issuers = `{
	gatehouse {
		issuer openid $IDP/openid {
			audience api
		}
		issuer oauth $IDP/oauth {
			audience api
		}
		issuer by-url $IDP/by-url {
			audience api
			jwks $IDP/elsewhere
		}
		issuer set https://set.example.com {
			audience api other-api
			jwks $DIR/set.json
		}
		issuer pem https://pem.example.com {
			audience api
			jwks $DIR/keys.pem
		}
		issuer tls $TLS {
			audience api
			trust_ca $DIR/ca.pem
		}
		issuer untrusted $TLS/untrusted {
			audience api
		}
		issuer strict https://strict.example.com {
			audience api
			jwks $DIR/set.json
			algorithms RS256
			leeway 2m
		}
		issuer anyone https://anyone.example.com {
			audience any
			jwks $DIR/set.json
		}
		issuer bare https://bare.example.com {
			jwks $DIR/set.json
		}
		issuer slow $SLOW {
			audience api
			fetch_timeout 200ms
		}
	}
}
$SITE {
	handle /openid {
		token_auth openid
	}
	handle /oauth {
		token_auth oauth
	}
	handle /by-url {
		token_auth by-url
	}
	handle /set {
		token_auth set
	}
	handle /pem {
		token_auth pem
	}
	handle /tls {
		token_auth tls
	}
	handle /untrusted {
		token_auth untrusted
	}
	handle /strict {
		token_auth strict
	}
	handle /anyone {
		token_auth anyone
	}
	handle /slow {
		token_auth slow
	}
	handle /several {
		token_auth set pem openid
	}
	handle /by-its-url {
		token_auth https://set.example.com
	}
	handle /inline {
		token_auth $IDP/inline {
			audience api inline-api
		}
	}
	handle /narrower {
		token_auth set {
			audience narrow
		}
	}
	handle /wider {
		token_auth set bare {
			audience any
		}
	}
	respond * "in"
}
`

// keys of the issuers in this file: EC and RSA, both known to the files.
type issuerKeys struct{ ec, rsa, pem *tokentest.Key }

func TestIssuers(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	keys := issuerKeys{idp.Key, tokentest.NewKey(t, "RS256", "r1"), tokentest.NewKey(t, "ES256", "")}
	gateway := startIssuers(t, idp, keys)

	sign := func(key *tokentest.Key, issuer, audience string, changes map[string]any) string {
		claims := tokentest.Claims(issuer, changes)
		claims["aud"] = audience
		return key.Sign(nil, claims)
	}
	ago := func(d time.Duration) map[string]any { return map[string]any{"exp": time.Now().Add(-d).Unix()} }
	const set, pemIssuer, strict, anyone = "https://set.example.com", "https://pem.example.com", "https://strict.example.com", "https://anyone.example.com"
	tests := []struct {
		name, path, token string
		want              int
	}{
		{"OpenID discovery", "/openid", sign(keys.ec, idp.URL+"/openid", "api", nil), 200},
		{"RFC 8414 discovery", "/oauth", sign(keys.ec, idp.URL+"/oauth", "api", nil), 200},
		{"jwks by URL", "/by-url", sign(keys.rsa, idp.URL+"/by-url", "api", nil), 200},
		{"jwks by URL has no other keys", "/by-url", sign(keys.ec, idp.URL+"/by-url", "api", nil), 401},
		{"jwks by file", "/set", sign(keys.ec, set, "api", nil), 200},
		{"jwks by file, second audience", "/set", sign(keys.rsa, set, "other-api", nil), 200},
		{"jwks by file, wrong audience", "/set", sign(keys.ec, set, "another", nil), 401},
		{"PEM", "/pem", sign(keys.pem, pemIssuer, "api", nil), 200},
		{"issuer behind a private CA", "/tls", sign(keys.ec, gateway.tls, "api", nil), 200},
		{"issuer behind an unknown CA", "/untrusted", sign(keys.ec, gateway.tls+"/untrusted", "api", nil), 503},
		{"issuer that hangs", "/slow", sign(keys.ec, gateway.slow, "api", nil), 503},

		{"algorithm allowed", "/strict", sign(keys.rsa, strict, "api", nil), 200},
		{"algorithm not allowed", "/strict", sign(keys.ec, strict, "api", nil), 401},
		{"within a leeway of 2m", "/strict", sign(keys.rsa, strict, "api", ago(100*time.Second)), 200},
		{"past a leeway of 2m", "/strict", sign(keys.rsa, strict, "api", ago(125*time.Second)), 401},
		{"within the leeway of 30s", "/set", sign(keys.ec, set, "api", ago(20*time.Second)), 200},
		{"past the leeway of 30s", "/set", sign(keys.ec, set, "api", ago(35*time.Second)), 401},

		{"audience any", "/anyone", sign(keys.ec, anyone, "whatever", nil), 200},
		{"audience any takes none at all", "/anyone", keys.ec.Sign(nil, tokentest.Claims(anyone, map[string]any{"aud": nil})), 200},
		{"no audience where some are named", "/set", keys.ec.Sign(nil, tokentest.Claims(set, map[string]any{"aud": nil})), 401},
		{"audience at the route", "/narrower", sign(keys.ec, set, "narrow", nil), 200},
		{"audience at the route, not the issuer's", "/narrower", sign(keys.ec, set, "api", nil), 401},
		{"audience any at the route", "/wider", sign(keys.ec, set, "whatever", nil), 200},
		{"audience any at the route, for an issuer without", "/wider", sign(keys.ec, "https://bare.example.com", "whatever", nil), 200},

		{"several issuers, the first", "/several", sign(keys.ec, set, "api", nil), 200},
		{"several issuers, the second", "/several", sign(keys.pem, pemIssuer, "api", nil), 200},
		{"several issuers, the third", "/several", sign(keys.ec, idp.URL+"/openid", "api", nil), 200},
		{"several issuers, one that is not named", "/several", sign(keys.ec, anyone, "api", nil), 401},
		{"another's key", "/several", sign(keys.pem, set, "api", nil), 401},
		{"another's key, the other way round", "/several", sign(keys.ec, pemIssuer, "api", nil), 401},

		{"a block by its URL", "/by-its-url", sign(keys.ec, set, "other-api", nil), 200},
		{"inline", "/inline", sign(keys.ec, idp.URL+"/inline", "inline-api", nil), 200},
		{"inline, wrong audience", "/inline", sign(keys.ec, idp.URL+"/inline", "other", nil), 401},
		{"inline, another issuer", "/inline", sign(keys.ec, set, "api", nil), 401},
		{"iss with a slash more", "/set", sign(keys.ec, set+"/", "api", nil), 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want == http.StatusServiceUnavailable {
				got := gateway.Get(test.path, test.token).Expect(t, test.want)
				expectHeader(t, got, "Retry-After", "5")
				return
			}
			harness.Eventually(t, "the issuer's keys have come", func() bool {
				return gateway.Get(test.path, test.token).Status != http.StatusServiceUnavailable
			})
			gateway.Get(test.path, test.token).Expect(t, test.want)
		})
	}
	harness.Eventually(t, "the log says why the private CA is not trusted", func() bool {
		return strings.Contains(gateway.Log(), "its certificate is not from a trusted CA (see trust_ca)")
	})
}

type issuersGateway struct {
	*harness.Gateway

	tls, slow string
}

func startIssuers(t *testing.T, idp *harness.AuthServer, keys issuerKeys) issuersGateway {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(keys.ec, keys.rsa))
	public, err := x509.MarshalPKIXPublicKey(keys.pem.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "keys.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	openID(idp, "/openid", "/inline")
	idp.Handle("/.well-known/oauth-authorization-server/oauth",
		document(map[string]any{"issuer": idp.URL + "/oauth", "jwks_uri": idp.URL + "/jwks"}))
	idp.Handle("/elsewhere", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tokentest.Set(keys.rsa)) })

	secure := httptest.NewTLSServer(idp)
	t.Cleanup(secure.Close)
	write(t, filepath.Join(folder, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	idp.Handle("/.well-known/openid-configuration", document(map[string]any{"issuer": secure.URL, "jwks_uri": secure.URL + "/jwks"}))

	end := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(end) })
	gateway := harness.Start(t, issuers, "$IDP", idp.URL, "$DIR", folder, "$TLS", secure.URL, "$SLOW", slow.URL)
	return issuersGateway{gateway, secure.URL, slow.URL}
}

// While keys rotate no request fails: the first token with a new key fetches it.
func TestKeysRotateWhileRequestsRun(t *testing.T) {
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, "$SITE {\n\ttoken_auth $IDP {\n\t\taudience any\n\t}\n\trespond in\n}\n", "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)

	current := make(chan *tokentest.Key, 1)
	current <- idp.Key
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				key := <-current
				current <- key
				gateway.Get("/", key.Sign(nil, idp.Claims(nil))).Expect(t, http.StatusOK)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	published := []*tokentest.Key{idp.Key}
	for _, id := range []string{"k2", "k3", "k4"} {
		next := tokentest.NewKey(t, "ES256", id)
		fetched := idp.Hits("/jwks")
		// The earlier keys stay: tokens made with them are still on their way.
		published = append(published, next)
		idp.Rotate(published...)
		<-current
		current <- next
		harness.Eventually(t, "the new key is fetched", func() bool { return idp.Hits("/jwks") > fetched })
	}
	close(done)
	workers.Wait()
	if n := idp.Hits("/jwks"); n != 4 {
		t.Errorf("%d fetches of the key set, want 1 and one a rotation", n)
	}
}

// A key that is gone opens nothing any more, remembered tokens included.
func TestKeyIsWithdrawn(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, "$SITE {\n\ttoken_auth $IDP {\n\t\taudience any\n\t}\n\trespond in\n}\n", "$IDP", idp.URL)
	old := idp.Token(nil)
	gateway.Await("/", old, http.StatusOK)
	gateway.Get("/", old).Expect(t, http.StatusOK)
	next := tokentest.NewKey(t, "ES256", "k2")
	idp.Rotate(next)
	gateway.Get("/", next.Sign(nil, idp.Claims(nil))).Expect(t, http.StatusOK)
	gateway.Get("/", old).Expect(t, http.StatusUnauthorized)
}
