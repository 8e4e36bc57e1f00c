package integration_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// One site, whose client has the words of $AUTH.
const clientAuth = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client c {
			issuer main
			client_id gateway
$AUTH
		}
		exchange orders {
			client c
			audience orders
			cache_entries off
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

const jwtSecret = "canary-client-secret-of-32-bytes-and-more"

// Each way to prove the gateway, before a server that is as strict as the
// strictest.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	key := tokentest.NewKey(t, "ES256", "client-1")
	workload := tokentest.NewKey(t, "RS256", "")
	alias := idp.MutualTLS(t)
	dir := t.TempDir()
	file := func(name string, block string, der []byte) string {
		path := filepath.Join(dir, name)
		content := der
		if block != "" {
			content = pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, certFile := file("key", "PRIVATE KEY", private), file("cert", "CERTIFICATE", selfSigned(t, key))
	caFile := file("ca", "CERTIFICATE", alias.Certificate().Raw)
	podToken := workload.Sign(map[string]any{"typ": "JWT"}, map[string]any{
		"iss": "pod", "sub": "pod", "aud": idp.URL, "jti": "canary-of-the-workload", "exp": time.Now().Add(time.Minute).Unix(),
	})
	pod := harness.AssertionRule{Key: workload, Audience: idp.URL, Type: "JWT", Subject: "pod"}
	podFile := file("pod", "", []byte(podToken+"\n"))
	svid := func(name, audience, kind string) ([]string, func(r *http.Request) bool) {
		const id = "spiffe://example.org/gateway"
		token := workload.Sign(map[string]any{"typ": "JWT"}, map[string]any{
			"iss": id, "sub": id, "aud": []string{audience}, "jti": "canary-of-the-svid-" + name, "exp": time.Now().Add(time.Minute).Unix(),
		})
		rule := &harness.AssertionRule{Key: workload, Type: "JWT", Subject: id, Kind: kind, Audience: audience, Often: true}
		return []string{"auth federated", "assertion_file " + file(name, "", []byte(token))}, func(r *http.Request) bool { return rule.Accepts(t, r) }
	}
	ownWords, ownSVID := svid("svid", idp.URL, "jwt-spiffe")
	otherWords, otherSVID := svid("other-svid", "api://exchange", "jwt-bearer")
	secretFile := file("secret", "", []byte(harness.ClientSecret+"\n"))
	const standard = "client-authentication+jwt"
	secretForm := func(r *http.Request) bool {
		return r.PostForm.Get("client_id") == "gateway" && r.PostForm.Get("client_secret") == harness.ClientSecret && r.Header.Get("Authorization") == ""
	}
	byKey := func(audience, kind string) func(*http.Request) bool {
		rule := &harness.AssertionRule{Key: key, Audience: audience, Type: kind}
		return func(r *http.Request) bool { return rule.Accepts(t, r) }
	}
	bySecret := &harness.AssertionRule{Secret: jwtSecret, Audience: idp.URL, Type: standard}
	tests := map[string]struct {
		words []string
		known func(r *http.Request) bool
	}{
		"basic":                     {[]string{"secret " + harness.ClientSecret}, nil},
		"basic, the second secret":  {[]string{"secret old", "secret " + harness.ClientSecret}, nil},
		"post":                      {[]string{"auth post", "secret " + harness.ClientSecret}, secretForm},
		"a secret in a file":        {[]string{"auth post", "secret {file." + secretFile + "}"}, secretForm},
		"secret_jwt":                {[]string{"auth secret_jwt", "secret " + jwtSecret}, func(r *http.Request) bool { return bySecret.Accepts(t, r) }},
		"private_key_jwt":           {[]string{"auth private_key_jwt", "key " + keyFile + " ES256 client-1"}, byKey(idp.URL, standard)},
		"private_key_jwt, endpoint": {[]string{"auth private_key_jwt", "key " + keyFile, "assertion {", "audience endpoint", "typ JWT", "}"}, byKey(idp.URL+"/token", "JWT")},
		"private_key_jwt, certificate": {
			[]string{"auth private_key_jwt", "key " + keyFile, "certificate " + certFile + " " + keyFile, "assertion {", "header x5t#S256", "}"},
			byKey(idp.URL, standard),
		},
		"tls": {
			[]string{"auth tls", "certificate " + certFile + " " + keyFile, "trust_ca " + caFile},
			func(r *http.Request) bool {
				return r.TLS != nil && r.TLS.PeerCertificates[0].Subject.CommonName == "client-1" && r.PostForm.Get("client_id") == "gateway"
			},
		},
		"federated":         {[]string{"auth federated", "assertion_file " + podFile}, func(r *http.Request) bool { return pod.Accepts(t, r) }},
		"federated, SPIFFE": {ownWords, ownSVID},
		"federated, SPIFFE for a server like Entra": {otherWords, otherSVID},
		"none": {[]string{"auth none"}, func(r *http.Request) bool {
			return r.PostForm.Get("client_id") == "gateway" && !r.PostForm.Has("client_secret") && r.Header.Get("Authorization") == ""
		}},
	}
	upstream := harness.NewUpstream(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			idp.Authenticate(test.known)
			caddyfile := strings.ReplaceAll(clientAuth, "$AUTH", strings.Join(test.words, "\n"))
			gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
			token := idp.Token(nil)
			gateway.Await("/", token, http.StatusOK)
			if got := harness.Claims(t, upstream.Last(t).Bearer())["aud"]; got != "orders" {
				t.Errorf("the upstream's token is for %v", got)
			}
			// Another who knows nobody: a fault of the gateway, and no word of why.
			idp.Authenticate(func(*http.Request) bool { return false })
			answer := gateway.Get("/", token).Expect(t, http.StatusBadGateway)
			for _, secret := range []string{"canary", "BEGIN", podToken} {
				if strings.Contains(fmt.Sprint(answer)+gateway.Log(), secret) {
					t.Errorf("%q is in the answer or in the log", secret)
				}
			}
		})
	}
}

func selfSigned(t *testing.T, key *tokentest.Key) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: key.ID},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A secret that changes on disk needs no reload.
func TestClientSecretRotates(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	path := filepath.Join(t.TempDir(), "secret")
	put := func(text string) {
		fresh := path + ".fresh"
		if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, path); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	caddyfile := strings.ReplaceAll(clientAuth, "$AUTH", "secret {file."+path+"}")
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token := idp.Token(nil)
	gateway.Await("/", token, http.StatusBadGateway)
	put(harness.ClientSecret)
	gateway.Get("/", token).Expect(t, http.StatusOK)
}

// Keycloak says unauthorized_client of a wrong secret, and others no code at all: the other
// secret is tried, and one that works stays the one that is sent, whatever the server
// blames the client for.
func TestClientSecretsAtServersOfOtherWords(t *testing.T) {
	t.Parallel()
	for _, refused := range []struct {
		status int
		code   string
	}{{http.StatusUnauthorized, "unauthorized_client"}, {http.StatusUnauthorized, ""}, {http.StatusForbidden, ""}} {
		t.Run(fmt.Sprint(refused.status, refused.code), func(t *testing.T) {
			t.Parallel()
			idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
			idp.RefuseClients(refused.status, refused.code)
			caddyfile := strings.ReplaceAll(clientAuth, "$AUTH", "secret old\nsecret "+harness.ClientSecret)
			gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
			gateway.Await("/", idp.Token(nil), http.StatusOK)
			before := len(idp.Forms())
			for i := range 5 {
				gateway.Get("/", idp.Token(map[string]any{"jti": fmt.Sprint(i)})).Expect(t, http.StatusOK)
			}
			if calls := len(idp.Forms()) - before; calls != 5 {
				t.Errorf("%d calls for five exchanges: the secret that works is not kept", calls)
			}
			// An audience that is gone: Keycloak blames the client, and the old secret too.
			idp.AnswerJSON(http.StatusBadRequest, map[string]any{"error": "invalid_client"})
			gateway.Get("/", idp.Token(map[string]any{"jti": "gone"})).Expect(t, http.StatusBadGateway)
			idp.Answer(nil)
			before = len(idp.Forms())
			gateway.Get("/", idp.Token(map[string]any{"jti": "after"})).Expect(t, http.StatusOK)
			if calls := len(idp.Forms()) - before; calls != 1 {
				t.Errorf("%d calls: a wrong secret became the one that is sent first", calls)
			}
		})
	}
}

// A server that is down is left alone after a few calls; callers are told when to
// come back, and the log says why, once.
func TestServerIsLeftAlone(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	caddyfile := strings.ReplaceAll(clientAuth, "$AUTH", "secret "+harness.ClientSecret)
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token := idp.Token(nil)
	idp.AnswerJSON(http.StatusServiceUnavailable, nil)
	gateway.Await("/", token, http.StatusServiceUnavailable)
	for range 20 {
		answer := gateway.Get("/", token).Expect(t, http.StatusServiceUnavailable)
		if answer.Header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", answer.Header)
		}
	}
	if calls := len(idp.Forms()); calls > 8 {
		t.Errorf("the server was asked %d times", calls)
	}
	if lines := gateway.Lines("leaving an endpoint alone that does not work"); len(lines) == 0 || lines[0]["reason"] != "status_503" {
		t.Errorf("log: %v", lines)
	}
	opened := `caddy_gatehouse_breaker_openings_total{endpoint="` + idp.URL + `/token",reason="status_503",server="` + idp.URL + `"} 1`
	if !strings.Contains(gateway.Metrics(), opened) {
		t.Errorf("no metric %s", opened)
	}
	idp.Answer(nil)
	gateway.Await("/", token, http.StatusOK)
}
