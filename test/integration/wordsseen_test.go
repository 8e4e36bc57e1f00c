package integration_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Identifier and secret are form-encoded before they become Basic (C8): a colon in
// either, or a plus, would be read as another one.
func TestExchangeC8BasicIsFormEncoded(t *testing.T) {
	t.Parallel()
	const id, secret = "gate:way", "a b+c%2F:ü"
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	idp.Authenticate(func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return user == url.QueryEscape(id) && password == url.QueryEscape(secret) && !r.PostForm.Has("client_secret")
	})
	caddyfile := strings.ReplaceAll(clientAuth, "client_id gateway", "client_id "+id)
	caddyfile = strings.ReplaceAll(caddyfile, "$AUTH", "secret `"+secret+"`")
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
}

// The assertion names its key as the configuration does, and the certificate of it.
func TestClientAssertionNamesItsCertificate(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	key := tokentest.NewKey(t, "ES256", "client-1")
	private, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	der, dir := selfSigned(t, key), t.TempDir()
	for name, block := range map[string]*pem.Block{"key": {Type: "PRIVATE KEY", Bytes: private}, "cert": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	idp.Authenticate(func(r *http.Request) bool {
		head, _, _ := strings.Cut(r.PostForm.Get("client_assertion"), ".")
		var header map[string]any
		return json.Unmarshal(tokentest.Decode(t, head), &header) == nil && header["x5t#S256"] == harness.Thumbprint(der) && header["kid"] == "client-1"
	})
	words := strings.ReplaceAll("auth private_key_jwt\nkey $D/key ES256 client-1\ncertificate $D/cert $D/key\nassertion {\nheader x5t#S256\n}", "$D", dir)
	gateway := harness.Start(t, strings.ReplaceAll(clientAuth, "$AUTH", words), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
}

// max_ttl ends what the server would let live longer, and cache_entries is a bound.
func TestExchangeMemoryHasTheBoundsOfItsWords(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"short": "audience short\nmax_ttl 2s", "long": "audience long", "few": "audience few\ncache_entries 16"})
	calls := func(audience string) (n int) {
		for _, form := range site.idp.Forms() {
			if form.Get("audience") == audience {
				n++
			}
		}
		return n
	}
	token := site.idp.Token(nil)
	harness.Eventually(t, "a second call for what max_ttl ended", func() bool {
		site.Get("/short", token).Expect(t, http.StatusOK)
		site.Get("/long", token).Expect(t, http.StatusOK)
		return calls("short") >= 2
	})
	if n := calls("long"); n != 1 {
		t.Errorf("%d calls for what no max_ttl ends", n)
	}
	const callers = 100
	for range 2 {
		for i := range callers {
			site.Get("/few", site.idp.Token(map[string]any{"sub": fmt.Sprint("user-", i), "jti": fmt.Sprint(i), "exp": 4102444800})).Expect(t, http.StatusOK)
		}
	}
	if n := calls("few"); n < callers+callers/2 {
		t.Errorf("%d calls: more than cache_entries were remembered", n)
	}
}
