package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What every route holds, whatever it wants: a token that is bound is presented by
// whom it is bound to.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := harness.NewHolder(t)
	token := b.bound(nil)
	request := func(authorization string, proofs ...string) *http.Request {
		made := b.Request(http.MethodGet, "/", "")
		made.Header["Authorization"] = []string{authorization}
		made.Header["Dpop"] = proofs
		return made
	}
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		request    *http.Request
		challenges []string
		reason     string
	}{
		"as a bearer's":              {request("Bearer " + token), []string{badBearer, offersDPoP}, "bound_as_bearer"},
		"as a bearer's with a proof": {request("Bearer "+token, b.proof(t, "/", token, nil)), []string{badBearer, offersDPoP}, "bound_as_bearer"},
		"no proof":                   {request("DPoP " + token), []string{badProof}, "missing_proof"},
		"two proofs":                 {request("DPoP "+token, b.proof(t, "/", token, nil), b.proof(t, "/", token, nil)), []string{badProof}, "bad_proof"},
		"another key":                {request("DPoP "+token, other.Proof(http.MethodGet, b.URL+"/", token, "")), []string{badDPoP}, "wrong_key"},
		"another method":             {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"htm": "POST"})), []string{badProof}, "bad_proof"},
		"another path":               {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"htu": b.URL + "/other"})), []string{badProof}, "bad_proof"},
		"another host":               {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"htu": "http://api.example.com/"})), []string{badProof}, "bad_proof"},
		"another scheme":             {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"htu": strings.Replace(b.URL, "http", "https", 1) + "/"})), []string{badProof}, "bad_proof"},
		"too old":                    {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"iat": now - 90})), []string{badProof}, "bad_proof"},
		"of tomorrow":                {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"iat": now + 90})), []string{badProof}, "bad_proof"},
		"another token":              {request("DPoP "+token, b.proof(t, "/", b.bound(map[string]any{"jti": "2"}), nil)), []string{badProof}, "bad_proof"},
		"no ath":                     {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"ath": nil})), []string{badProof}, "bad_proof"},
		"no jti":                     {request("DPoP "+token, b.proof(t, "/", token, map[string]any{"jti": nil})), []string{badProof}, "bad_proof"},
		"a plain token as bound":     {b.holder.Prove(b.Request(http.MethodGet, "/", ""), b.URL+"/", b.idp.Token(nil), ""), []string{badDPoP}, "not_bound"},
		"DPoP and nothing":           {request("DPoP "), []string{offersDPoP}, "missing"},
		"nothing":                    {b.Request(http.MethodGet, "/", ""), []string{offersBearer, offersDPoP}, "missing"},
		"a proof without a token": {func() *http.Request {
			r := request("", b.proof(t, "/", token, nil))
			r.Header.Del("Authorization")
			return r
		}(), []string{offersBearer, offersDPoP}, "missing"},
		"bound to something else": {request("Bearer " + b.idp.Token(map[string]any{"cnf": map[string]any{"kid": "k"}})), []string{badBearer, offersDPoP}, "bound"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := len(b.Audit())
			b.expectRefused(t, test.request, test.challenges...)
			harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(b.Audit()) > lines })
			if line := b.Audit()[lines]; line["rule"] != test.reason || line["subject"] != nil {
				t.Errorf("audit: %v", line)
			}
		})
	}
	good := b.proved("/a%2Fb/?c=d")
	b.Do(good).Expect(t, http.StatusOK)
	got := b.upstream.Last(t)
	if got.Header.Get("DPoP") != "" || got.Header.Get("Authorization") != "" {
		t.Errorf("the upstream got %v", got.Header)
	}
	b.expectRefused(t, good.Clone(t.Context()), badProof) // once more
	expectNowhere(t, b.Gateway, b.upstream, harness.Answer{}, token, good.Header.Get("DPoP"))
}

// Routes say which kinds they want, and offer no others.
func TestSenderConstrained(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	plain := b.idp.Token(nil)
	for path, offer := range map[string][]string{
		"/dpop/": {offersDPoP}, "/mtls/": {offersBearer}, "/either/": {offersBearer, offersDPoP}, "/": {offersBearer, offersDPoP},
	} {
		b.expectRefused(t, b.Request(http.MethodGet, path, ""), offer...)
	}
	for path, bad := range map[string][]string{
		"/dpop/": {badDPoP}, "/mtls/": {badBearer}, "/either/": {badBearer, offersDPoP},
		"/rule/": {badBearer, offersDPoP}, "/rule-mtls/": {badBearer},
	} {
		b.expectRefused(t, b.Request(http.MethodGet, path, plain), bad...)
	}
	for _, path := range []string{"/dpop/deep/er", "/either/", "/rule/", "/optional/", "/", "/rewritten/x"} {
		b.Do(b.proved(path)).Expect(t, http.StatusOK)
	}
	for _, path := range []string{"/mtls/", "/rule-mtls/"} {
		b.expectRefused(t, b.proved(path), badDPoP)
	}
	if got := b.Do(b.proved("/matched/")); got.Body != "bound" {
		t.Errorf("the matcher says %q of a bound token", got.Body)
	}
	if got := b.Get("/matched/", plain); got.Body != "plain" {
		t.Errorf("the matcher says %q of a plain token", got.Body)
	}
	// A proof alone is nobody's, and is taken off all the same.
	nobody := b.Request(http.MethodGet, "/optional/", "")
	nobody.Header["Dpop"] = []string{b.proof(t, "/optional/", plain, nil)}
	b.Do(nobody).Expect(t, http.StatusOK)
	if got := b.upstream.Last(t); got.Header.Get("DPoP") != "" {
		t.Errorf("the upstream got %v", got.Header)
	}
}

// Nonces: asked for, accepted, renewed by nothing but time, good after a reload.
func TestDPoPNonce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.bound(nil)
	ask := func(path, nonce string) *http.Request {
		return b.holder.Prove(b.Request(http.MethodGet, path, ""), b.URL+path, token, nonce)
	}
	missing := b.Request(http.MethodGet, "/nonce/", "")
	missing.Header.Set("Authorization", "DPoP "+token)
	offered := b.expectRefused(t, missing, badProof).Header.Get("DPoP-Nonce")
	first := b.expectRefused(t, ask("/nonce/", ""), needsNonce)
	nonce := first.Header.Get("DPoP-Nonce")
	if problemOf(t, first)["error"] != "use_dpop_nonce" || nonce == "" || offered == "" {
		t.Errorf("nonces %q and %q, body %s", offered, nonce, first.Body)
	}
	b.expectRefused(t, ask("/nonce/", strings.Repeat("A", len(nonce))), needsNonce)
	b.Do(ask("/nonce/", nonce)).Expect(t, http.StatusOK)
	b.Do(ask("/nonce/admin", nonce)).Expect(t, http.StatusForbidden)
	// Where none is asked for one does no harm, and none is offered.
	if got := b.Do(ask("/", nonce)).Expect(t, http.StatusOK); got.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("a nonce where none is asked for: %v", got.Header)
	}
	used := ask("/nonce/", nonce)
	b.Do(used).Expect(t, http.StatusOK)
	if err := b.Reload(sender + "\n"); err != nil {
		t.Fatal(err)
	}
	b.expectRefused(t, used.Clone(t.Context()), badProof)
	b.Do(ask("/nonce/", nonce)).Expect(t, http.StatusOK)
}

// A proxy in front: what the client called is what counts, as far as it can be
// believed.
func TestProofBehindProxy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	front := harness.Start(t, `{
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}
$SITE {
	handle_path /stripped/* {
		reverse_proxy $OPEN {
			header_up Host {upstream_hostport}
		}
	}
	handle /open/* {
		reverse_proxy $OPEN {
			header_up Host {upstream_hostport}
		}
	}
	handle {
		reverse_proxy $TRUSTING {
			header_up Host {upstream_hostport}
		}
	}
}
`, "$OPEN", strings.TrimPrefix(b.URL, "http://"), "$TRUSTING", strings.TrimPrefix(b.proxied, "http://"))
	token := b.bound(nil)
	ask := func(path, htu string) *http.Request {
		request := b.holder.Prove(front.Request(http.MethodGet, path, ""), htu, token, "")
		// The front's own neighbour, here the client, is trusted by it: so this is what
		// the outermost proxy saw.
		request.Header.Set("X-Forwarded-Proto", "https")
		request.Header.Set("X-Forwarded-Host", "api.example.com")
		return request
	}
	for name, test := range map[string]struct {
		path, htu string
		good      bool
	}{
		"as the client called":         {"/a?b", "https://api.example.com/a", true},
		"default port":                 {"/a", "https://API.example.com:443/a?c", true},
		"as the gateway is called":     {"/a", b.proxied + "/a", false},
		"as the front is called":       {"/a", front.URL + "/a", false},
		"proxy is not trusted":         {"/open/a", "https://api.example.com/open/a", false},
		"proxy is not trusted, inside": {"/open/a", b.URL + "/open/a", true},
		"public_url":                   {"/public/a", "https://api.example.com/v1/public/a", true},
		"the second public_url":        {"/public/a", "https://api.example.net/public/a", true},
		"public_url without its path":  {"/public/a", "https://api.example.com/public/a", false},
		"public_url, stripped":         {"/stripped/public/a", "https://api.example.com/v1/public/a", true},
		"public_url, not stripped":     {"/stripped/public/a", "https://api.example.com/v1/stripped/public/a", false},
		"public_url, inside":           {"/stripped/public/a", b.URL + "/public/a", false},
	} {
		t.Run(name, func(t *testing.T) {
			status := http.StatusUnauthorized
			if test.good {
				status = http.StatusOK
			}
			answer := front.Do(ask(test.path, test.htu)).Expect(t, status)
			if !test.good {
				expectHeader(t, answer, "WWW-Authenticate", badProof)
			}
		})
	}
}
