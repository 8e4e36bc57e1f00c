package integration_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// sender are three sites with a route for each way to constrain senders: an open
// one, one whose neighbours are trusted proxies, and one with TLS.
const sender = `{
	skip_install_trust
	auto_https disable_redirects
	servers $PROXIED_PORT {
		trusted_proxies static 127.0.0.1/32
	}
	gatehouse {
		issuer main $IDP {
			audience any
		}
		policy bound {
			sender_constrained
		}
	}
}
(routes) {
	handle_path /dpop/* {
		token_auth {
			sender_constrained dpop
		}
		import in
	}
	handle /mtls/* {
		token_auth {
			sender_constrained mtls
		}
		import in
	}
	handle /either/* {
		token_auth {
			sender_constrained
		}
		import in
	}
	handle /nonce/* {
		token_auth {
			dpop_nonce
		}
		token_require @admin scope orders:admin
		import in
	}
	handle /optional/* {
		token_auth {
			optional
		}
		import in
	}
	handle /rule/* {
		token_auth
		token_require policy bound
		import in
	}
	handle /rule-mtls/* {
		token_auth
		token_require sender_constrained mtls
		import in
	}
	handle /matched/* {
		token_auth
		@key token sender_constrained dpop
		respond @key "bound"
		respond "plain"
	}
	handle /forward/* {
		token_auth {
			forward_token
			client_certificate Client-Cert
		}
		import in
	}
	handle /cert/* {
		token_auth {
			client_certificate Client-Cert
		}
		import in
	}
	handle /public/* {
		token_auth {
			public_url https://api.example.com/v1 https://api.example.net
		}
		import in
	}
	handle {
		token_auth
		import in
	}
}
(in) {
	@admin path */admin
	reverse_proxy $UPSTREAM
}
$SITE {
	rewrite /rewritten/* /elsewhere
	method /rewritten/* POST
	import routes
}
$PROXIED {
	import routes
}
$SECURE {
	tls internal {
		client_auth {
			mode request
		}
	}
	import routes
}
`

const algorithms = `algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`

// The challenges of a route that accepts both schemes, or one.
const (
	offersBearer = `Bearer realm="gatehouse"`
	offersDPoP   = `DPoP realm="gatehouse", ` + algorithms
	badBearer    = `Bearer realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API."`
	badDPoP      = `DPoP realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API.", ` + algorithms
	badProof     = `DPoP realm="gatehouse", error="invalid_dpop_proof", error_description="The DPoP proof is missing or not valid for this request.", ` + algorithms
	needsNonce   = `DPoP realm="gatehouse", error="use_dpop_nonce", error_description="The DPoP proof needs the nonce of the DPoP-Nonce header.", ` + algorithms
)

// A bench is the site with everything around it.
type bench struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
	holder   *harness.Holder
	proxied  string // where a proxy in front is trusted
	secure   string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), holder: harness.NewHolder(t)}
	b.proxied = "http://" + harness.FreeAddress(t)
	secure := harness.FreeAddress(t)
	b.secure = "https://localhost" + secure[strings.LastIndex(secure, ":"):]
	b.Gateway = harness.Start(t, sender, "$IDP", b.idp.URL, "$UPSTREAM", b.upstream.Address,
		"$PROXIED_PORT", b.proxied[strings.LastIndex(b.proxied, ":"):], "$PROXIED", b.proxied, "$SECURE", b.secure)
	b.Await("/", b.idp.Token(nil), http.StatusOK)
	return b
}

// bound is a token that is bound to the holder's key, with changes.
func (b *bench) bound(changes map[string]any) string {
	all := map[string]any{"cnf": b.holder.Binding()}
	maps.Copy(all, changes)
	return b.idp.Token(all)
}

// proved is a good request with a bound token.
func (b *bench) proved(path string) *http.Request {
	return b.holder.Prove(b.Request(http.MethodGet, path, ""), b.URL+path, b.bound(nil), "")
}

// proof is a good one with changes, signed by the holder; nil leaves a claim out.
func (b *bench) proof(t *testing.T, path, token string, changes map[string]any) string {
	t.Helper()
	claims := harness.Claims(t, b.holder.Proof(http.MethodGet, b.URL+path, token, ""))
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return b.holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": publicJWK(b.holder.Key)}, claims)
}

func publicJWK(key *tokentest.Key) map[string]any {
	public := key.JWK()
	for _, name := range []string{"use", "alg", "kid"} {
		delete(public, name)
	}
	return public
}

func (b *bench) expectRefused(t *testing.T, request *http.Request, challenges ...string) harness.Answer {
	t.Helper()
	reached := len(b.upstream.Received())
	answer := b.Do(request).Expect(t, http.StatusUnauthorized)
	expectHeader(t, answer, "WWW-Authenticate", challenges...)
	expectHeader(t, answer, "Cache-Control", "no-store")
	if len(b.upstream.Received()) != reached {
		t.Error("the upstream was reached")
	}
	return answer
}

// What every route holds, whatever it wants: a token that is bound is presented by
// whom it is bound to.
func TestBoundTokens(t *testing.T) {
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
	b := newBench(t)
	plain := b.idp.Token(nil)
	for path, offer := range map[string][]string{
		"/dpop/": {offersDPoP}, "/mtls/": {offersBearer}, "/either/": {offersBearer, offersDPoP}, "/": {offersBearer, offersDPoP},
	} {
		b.expectRefused(t, b.Request(http.MethodGet, path, ""), offer...)
	}
	for path, bad := range map[string][]string{
		"/dpop/": {badDPoP}, "/mtls/": {badBearer}, "/either/": {badBearer, offersDPoP},
		"/rule/": {badBearer, offersDPoP}, "/rule-mtls/": {badBearer, offersDPoP},
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

// secureClient speaks TLS with a certificate, or with none.
func secureClient(http2 bool, certificates ...tls.Certificate) *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: http2, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates},
	}}
}

func (b *bench) overTLS(t *testing.T, client *http.Client, request *http.Request) harness.Answer {
	t.Helper()
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := client.Transport.(*http.Transport).ForceAttemptHTTP2; (answer.ProtoMajor == 2) != want {
		t.Errorf("the answer came over %s", answer.Proto)
	}
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
}

// A token that is bound to a certificate needs that very one in the handshake,
// on each version of HTTP.
func TestMutualTLS(t *testing.T) {
	b := newBench(t)
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	byCertificate := b.idp.Token(map[string]any{"cnf": mine.Binding()})
	both := map[string]any{}
	maps.Copy(both, mine.Binding())
	maps.Copy(both, b.holder.Binding())
	byBoth := b.idp.Token(map[string]any{"cnf": both})
	harness.Eventually(t, "the certificate is there", func() bool {
		answer, err := secureClient(false).Get(b.secure + "/")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	})
	for name, test := range map[string]struct {
		path         string
		certificates []tls.Certificate
		token        string
		proved       bool
		challenges   []string
	}{
		"right":                          {"/mtls/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, anywhere":                {"/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, by the rule":             {"/rule-mtls/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, with a header":           {"/cert/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"another":                        {"/", []tls.Certificate{another.Certificate}, byCertificate, false, []string{badBearer, offersDPoP}},
		"none":                           {"/mtls/", nil, byCertificate, false, []string{badBearer}},
		"a plain token":                  {"/mtls/", []tls.Certificate{mine.Certificate}, b.idp.Token(nil), false, []string{badBearer}},
		"where DPoP is wanted":           {"/dpop/", []tls.Certificate{mine.Certificate}, byCertificate, false, []string{badDPoP}},
		"both":                           {"/mtls/", []tls.Certificate{mine.Certificate}, byBoth, true, nil},
		"both, no proof":                 {"/mtls/", []tls.Certificate{mine.Certificate}, byBoth, false, []string{badBearer}},
		"both, no certificate":           {"/mtls/", nil, byBoth, true, []string{badDPoP}},
		"a key's alone, wanted by certs": {"/mtls/", []tls.Certificate{mine.Certificate}, b.bound(nil), true, []string{badDPoP}},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%t", name, http2), func(t *testing.T) {
				url := b.secure + test.path
				request, err := http.NewRequest(http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+test.token)
				if test.proved {
					b.holder.Prove(request, url, test.token, "")
				}
				answer := b.overTLS(t, secureClient(http2, test.certificates...), request)
				if test.challenges == nil {
					answer.Expect(t, http.StatusOK)
					return
				}
				answer.Expect(t, http.StatusUnauthorized)
				expectHeader(t, answer, "WWW-Authenticate", test.challenges...)
			})
		}
	}
}

// A certificate in a header is a trusted proxy's word, and nobody else's.
func TestForwardedCertificate(t *testing.T) {
	b := newBench(t)
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	token := b.idp.Token(map[string]any{"cnf": mine.Binding()})
	field := func(c harness.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.DER()) + ":" }
	for name, test := range map[string]struct {
		site, path string
		fields     []string
		status     int
		why        string // the end of the reason in the audit trail
	}{
		"trusted":                {b.proxied, "/cert/", []string{field(mine)}, http.StatusOK, ""},
		"trusted, another":       {b.proxied, "/cert/", []string{field(another)}, http.StatusUnauthorized, "another client certificate"},
		"trusted, none":          {b.proxied, "/cert/", nil, http.StatusUnauthorized, "none was presented"},
		"trusted, two":           {b.proxied, "/cert/", []string{field(mine), field(mine)}, http.StatusUnauthorized, "there is more than one"},
		"trusted, no bytes":      {b.proxied, "/cert/", []string{"::"}, http.StatusUnauthorized, "not one certificate in DER"},
		"trusted, not asked for": {b.proxied, "/", []string{field(mine)}, http.StatusUnauthorized, "none was presented"},
		"a stranger":             {b.URL, "/cert/", []string{field(mine)}, http.StatusUnauthorized, "came from none of trusted_proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			said := len(b.Audit())
			request := at(t, b.Gateway, test.site, test.path, token)
			request.Header["Client-Cert"] = test.fields
			b.Do(request).Expect(t, test.status)
			harness.Eventually(t, "the audit trail says why: "+test.why, func() bool {
				lines := b.Audit()
				return test.why == "" || len(lines) > said && strings.HasSuffix(fmt.Sprint(lines[said]["reason"]), test.why)
			})
		})
	}
	// What a stranger has made up reaches no upstream, forwarded token or not.
	plain := b.idp.Token(nil)
	for _, path := range []string{"/cert/", "/forward/"} {
		request := b.Request(http.MethodGet, path, plain)
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "Dpop"} {
			request.Header[name] = []string{field(mine)}
		}
		b.Do(request).Expect(t, http.StatusOK)
		got := b.upstream.Last(t)
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "Dpop"} {
			if got.Header.Get(name) != "" {
				t.Errorf("%s: the upstream got %s", path, name)
			}
		}
		if forwarded := got.Bearer() != ""; forwarded != (path == "/forward/") {
			t.Errorf("%s: the caller's token was forwarded: %t", path, forwarded)
		}
	}
	request := at(t, b.Gateway, b.proxied, "/cert/", token)
	request.Header["Client-Cert"] = []string{field(mine)}
	b.Do(request).Expect(t, http.StatusOK)
	if got := b.upstream.Last(t).Header["Client-Cert"]; !slices.Equal(got, []string{field(mine)}) {
		t.Errorf("the upstream got Client-Cert %q", got)
	}
}
