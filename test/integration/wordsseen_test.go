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

// A chain of three: each leg is fed with what the one before got, at its own server and
// in its own client's name, and only the last one's token reaches the upstream.
func TestExchangeChainOfThree(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"three": `audience $IDP/other
		requested_type jwt
		then {
			grant jwt_bearer
			client other
			scope_exact far:read
			resource https://far.example.com
			then {
				grant token_exchange
				client gateway
				audience last
			}
		}`})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		var changes map[string]any
		if form.Get("audience") == site.idp.URL+"/other" {
			changes = map[string]any{"issued_token_type": jwtType, "token_type": "N_A"}
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, changes))
	})
	token := site.idp.Token(map[string]any{"jti": "three"})
	got := site.Get("/three", token).Expect(t, http.StatusOK)
	forms := site.idp.Forms()
	if len(forms) != 3 {
		t.Fatalf("%d requests", len(forms))
	}
	fed := []string{forms[0].Get("subject_token"), forms[1].Get("assertion"), forms[2].Get("subject_token")}
	if fed[0] != token {
		t.Error("the first leg was fed with something else than the caller's token")
	}
	for i, audience := range []string{site.idp.URL + "/other", "https://far.example.com"} {
		if claims := harness.Claims(t, fed[i+1]); claims["aud"] != audience {
			t.Errorf("leg %d was fed with a token for %v", i+2, claims["aud"])
		}
	}
	if claims := harness.Claims(t, site.upstream.Last(t).Bearer()); claims["aud"] != "last" {
		t.Errorf("the upstream got %v", claims)
	}
	expectNowhere(t, site.Gateway, site.upstream, got, fed[0], fed[1], fed[2], "canary-client-secret")
}

// More scope than was asked for is believed only where the exchange says so.
func TestExchangeWiderScopeNeedsItsWord(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"narrow": "audience x\nscope r", "wide": "audience x\nscope r\naccept {\nwider_scope\n}"})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"scope": "r w"}))
	})
	token := site.idp.Token(map[string]any{"scope": "r w"})
	before := len(site.upstream.Received())
	site.Get("/narrow", token).Expect(t, http.StatusBadGateway)
	if n := len(site.upstream.Received()); n != before {
		t.Error("the upstream was asked all the same")
	}
	site.Get("/wide", token).Expect(t, http.StatusOK)
}
