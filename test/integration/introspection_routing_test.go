package integration_test

import (
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const twoAsked = `{
	gatehouse {
` + harness.TwoAsked + `	}
}
$SITE {
	token_auth one two
	reverse_proxy $UPSTREAM {
		header_up X-User {http.auth.user.id}
	}
}
`

// A token is shown to the server whose prefix it has, and to nobody on a guess.
func TestPrefixRouting(t *testing.T) {
	t.Parallel()
	one, two, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	first, second := one.Introspects(t), two.Introspects(t)
	gateway := harness.Start(t, twoAsked, "$ONE", one.URL, "$TWO", two.URL, "$UPSTREAM", upstream.Address)
	for _, text := range []string{"one_a", "two_a", "three_a", "One_a", "one"} {
		first.Issue(text, nil)
		second.Issue(text, nil)
	}
	gateway.Get("/", "one_a").Expect(t, http.StatusOK)
	if user := upstream.Last(t).Header.Get("X-User"); user != "one/alice" {
		t.Errorf("X-User = %q", user)
	}
	gateway.Get("/", "two_a").Expect(t, http.StatusOK)
	if user := upstream.Last(t).Header.Get("X-User"); user != "two/alice" {
		t.Errorf("X-User = %q", user)
	}
	for _, text := range []string{"three_a", "One_a", "one"} {
		gateway.Get("/", text).Expect(t, http.StatusUnauthorized)
	}
	if a, b := first.Asked(), second.Asked(); len(a) != 1 || len(b) != 1 || a[0].Get("token") != "one_a" || b[0].Get("token") != "two_a" {
		t.Errorf("the servers saw %v and %v", a, b)
	}
}

// The gateway proves itself to the endpoint as it does at the token endpoint.
func TestIntrospectionAuthentication(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "client-1")
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	endpoint, alias := idp.Introspects(t), idp.MutualTLS(t)
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificate := func(der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	keyFile, caFile := file("key", key.PEM(t)), file("ca", certificate(alias.Certificate().Raw))
	certFile := file("cert", certificate(selfSigned(t, key)))
	rule := &harness.AssertionRule{Key: key, Audience: idp.URL, Type: "client-authentication+jwt"}
	for name, test := range map[string]struct {
		words string
		known func(*http.Request) bool // nil: by HTTP Basic
	}{
		"basic": {"secret " + harness.ClientSecret, nil},
		"post": {"auth post\nsecret " + harness.ClientSecret, func(r *http.Request) bool {
			return r.PostForm.Get("client_id") == harness.ClientID && r.PostForm.Get("client_secret") == harness.ClientSecret && r.Header.Get("Authorization") == ""
		}},
		"private_key_jwt": {"auth private_key_jwt\nkey " + keyFile + " ES256 client-1", func(r *http.Request) bool { return rule.Accepts(t, r) }},
		// At the address for that, which the metadata names beside the other.
		"tls": {"auth tls\ncertificate " + certFile + " " + keyFile + "\ntrust_ca " + caFile, func(r *http.Request) bool {
			return r.TLS != nil && r.TLS.PeerCertificates[0].Subject.CommonName == "client-1" && r.PostForm.Get("client_id") == harness.ClientID
		}},
	} {
		t.Run(name, func(t *testing.T) {
			idp.Authenticate(test.known)
			gateway := harness.Start(t, fitOpaque("cache_ttl 0s", test.words), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
			token := endpoint.Issue("asked-by-"+name, nil)
			gateway.Get("/", token).Expect(t, http.StatusOK)
			// Another who knows nobody: the token may be fine.
			idp.Authenticate(func(*http.Request) bool { return false })
			gateway.Get("/", token).Expect(t, http.StatusServiceUnavailable)
		})
	}
}

// An endpoint that is down is left alone after a few questions, across a reload
// too, and asked again when it is back. Nobody gets in meanwhile.
func TestIntrospectionIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "cache_ttl 0s", "")
	token := a.endpoint.Issue("patient", nil)
	a.endpoint.Answer(answering(http.StatusServiceUnavailable, ""))
	for range 15 {
		if answer := a.Get("/", token).Expect(t, http.StatusServiceUnavailable); answer.Header.Get("Retry-After") == "" {
			t.Errorf("header %v", answer.Header)
		}
	}
	asked := len(a.endpoint.Asked())
	if asked > 8 {
		t.Errorf("asked %d times", asked)
	}
	if err := a.Reload(fitOpaque("cache_ttl 0s\nalways", "")); err != nil {
		t.Fatal(err)
	}
	a.Get("/", token).Expect(t, http.StatusServiceUnavailable)
	if now := len(a.endpoint.Asked()); now > asked+1 {
		t.Errorf("asked %d times after the reload", now-asked)
	}
	a.endpoint.Answer(nil)
	a.Await("/", token, http.StatusOK)
}
