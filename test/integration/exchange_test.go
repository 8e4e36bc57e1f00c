package integration_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const exchanges = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		issuer partner $IDP/partner {
			audience any
		}
		client basic {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		client post {
			token_endpoint $IDP/token
			client_id gateway
			auth post
			secret canary-client-secret
		}
		client url {
			issuer $IDP/only-called
			client_id gateway
			secret canary-client-secret
		}
		exchange named {
			client basic
			audience named
			scope a b
		}
		exchange post {
			client post
			subject_issuer main partner
			audience posted second
			resource https://resource.example.com/x
		}
		exchange called {
			client url
			subject_issuer main
			audience called
		}
		exchange txn {
			client basic
			audience txn
			inject X-Upstream-Token
		}
		exchange schemed {
			client basic
			audience schemed
			inject X-Upstream-Auth Token
		}
		exchange uncached {
			client basic
			audience uncached
			cache_entries off
		}
	}
}
$SITE {
	token_auth main partner
	handle /named {
		token_exchange named
		reverse_proxy $UPSTREAM
	}
	handle /post {
		token_exchange post
		reverse_proxy $UPSTREAM
	}
	handle /called {
		token_exchange called
		reverse_proxy $UPSTREAM
	}
	handle /inline {
		token_exchange {
			client basic
			audience inline
			scope a
		}
		reverse_proxy $UPSTREAM
	}
	handle /txn {
		token_exchange txn
		reverse_proxy $UPSTREAM
	}
	handle /schemed {
		token_exchange schemed
		reverse_proxy $UPSTREAM
	}
	handle /both {
		token_exchange txn
		token_exchange named
		reverse_proxy $UPSTREAM
	}
	handle /uncached {
		token_exchange uncached
		reverse_proxy $UPSTREAM
	}
	handle /matched/* {
		@in path /matched/in
		token_exchange @in named
		reverse_proxy $UPSTREAM
	}
	handle {
		reverse_proxy $UPSTREAM
	}
}
`

type exchangeSite struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
}

func startExchanges(t *testing.T) exchangeSite {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	openID(idp, "/partner", "/only-called")
	gateway := harness.Start(t, exchanges, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	site := exchangeSite{gateway, idp, upstream}
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	gateway.Await("/", site.partner(nil), http.StatusOK)
	return site
}

func (s exchangeSite) partner(claims map[string]any) string {
	return s.idp.Token(merge(map[string]any{"iss": s.idp.URL + "/partner"}, claims))
}

func TestExchangeRequests(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	const grant, accessToken = "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:token-type:access_token"
	tests := []struct {
		path   string
		scope  string
		issuer string
		want   url.Values
	}{
		{"/named", "b c a", "", url.Values{"audience": {"named"}, "scope": {"a b"}}},
		{"/named", "c b", "", url.Values{"audience": {"named"}, "scope": {"b"}}},
		{"/inline", "a b", "", url.Values{"audience": {"inline"}, "scope": {"a"}}},
		{"/post", "a", "", url.Values{
			"audience": {"posted", "second"}, "resource": {"https://resource.example.com/x"},
			"client_id": {"gateway"}, "client_secret": {"canary-client-secret"},
		}},
		{"/post", "a", "/partner", url.Values{
			"audience": {"posted", "second"}, "resource": {"https://resource.example.com/x"},
			"client_id": {"gateway"}, "client_secret": {"canary-client-secret"},
		}},
		{"/called", "a", "", url.Values{"audience": {"called"}}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%s as %s%s", test.path, test.scope, test.issuer), func(t *testing.T) {
			token := site.idp.Token(map[string]any{"iss": site.idp.URL + test.issuer, "scope": test.scope, "jti": fmt.Sprint(i)})
			got := site.Get(test.path, token).Expect(t, http.StatusOK)
			forms := site.idp.Forms()
			want := url.Values{"grant_type": {grant}, "subject_token_type": {accessToken}, "subject_token": {token}}
			maps.Copy(want, test.want)
			if diff := cmp.Diff(want, forms[len(forms)-1]); diff != "" {
				t.Errorf("the request for the token (-want +got):\n%s", diff)
			}
			if claims := harness.Claims(t, site.upstream.Last(t).Bearer()); claims["aud"] != want["audience"][0] {
				t.Errorf("the upstream's token says %v", claims)
			}
			expectNowhere(t, site.Gateway, site.upstream, got, token, "canary-client-secret")
		})
	}
}

// One request to the server for one token, and for another caller another one.
func TestExchangeIsCached(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	alice, bob := site.idp.Token(nil), site.idp.Token(map[string]any{"sub": "bob"})
	for _, token := range []string{alice, bob, alice, bob} {
		site.Get("/txn", token).Expect(t, http.StatusOK)
	}
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d exchanges for two tokens, want 2", n)
	}
	for range 3 {
		site.Get("/uncached", alice).Expect(t, http.StatusOK)
	}
	if n := len(site.idp.Forms()); n != 5 {
		t.Errorf("%d exchanges with cache_entries off, want one a request", n-2)
	}
}

func TestInject(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	token := site.idp.Token(map[string]any{"scope": "a b"})
	site.Get("/txn", token).Expect(t, http.StatusOK)
	plain := site.upstream.Last(t).Header
	if issued := plain.Get("X-Upstream-Token"); harness.Claims(t, issued)["aud"] != "txn" || plain.Get("Authorization") != "" {
		t.Errorf("without a scheme the upstream got %q", plain)
	}
	site.Get("/schemed", token).Expect(t, http.StatusOK)
	schemed := site.upstream.Last(t).Header.Get("X-Upstream-Auth")
	if issued, ok := strings.CutPrefix(schemed, "Token "); !ok || harness.Claims(t, issued)["aud"] != "schemed" {
		t.Errorf("with a scheme the upstream got %q", schemed)
	}
	site.Get("/both", token).Expect(t, http.StatusOK)
	both := site.upstream.Last(t)
	if harness.Claims(t, both.Bearer())["aud"] != "named" || harness.Claims(t, both.Header.Get("X-Upstream-Token"))["aud"] != "txn" {
		t.Errorf("two exchanges for two headers gave %q", both.Header)
	}
	site.Get("/matched/in", token).Expect(t, http.StatusOK)
	if site.upstream.Last(t).Bearer() == "" {
		t.Error("a request that matches got no token")
	}
	site.Get("/matched/out", token).Expect(t, http.StatusOK)
	if site.upstream.Last(t).Header.Get("Authorization") != "" {
		t.Error("a request that does not match got a token")
	}
}

// What the caller writes into the header that the gateway fills, under whatever
// spelling, does not reach the upstream, and cannot take the gateway's away.
func TestInjectedHeaderIsTheGatewaysAlone(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	request := site.Request(http.MethodGet, "/txn", site.idp.Token(nil))
	for _, name := range []string{"X-Upstream-Token", "X_Upstream_Token", "x-upstream_token", "X.Upstream.Token"} {
		request.Header[name] = []string{"canary-forged", "canary-forged-2"}
	}
	request.Header["Connection"] = []string{"close, X-Upstream-Token", "x-other"}
	request.Header.Set("X-Other", "gone as asked")
	site.Do(request).Expect(t, http.StatusOK)
	got := site.upstream.Last(t)
	if got.Holds("canary-forged") {
		t.Errorf("the upstream got %q", got.Header)
	}
	if harness.Claims(t, got.Header.Get("X-Upstream-Token"))["aud"] != "txn" {
		t.Error("the gateway's token is gone")
	}
	if got.Header.Get("X-Other") != "" {
		t.Error("the rest of Connection was not obeyed")
	}
}

// Tokens of issuers that subject_issuer does not name are sent nowhere.
func TestSubjectIssuer(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	reached := len(site.upstream.Received())
	for _, path := range []string{"/named", "/inline", "/txn", "/called"} {
		token := site.partner(map[string]any{"scope": "a b", "jti": path})
		got := site.Get(path, token).Expect(t, http.StatusForbidden)
		if problem := problemOf(t, got); problem["error"] != "access_denied" {
			t.Errorf("%s: the caller is told %v", path, problem)
		}
		expectHeader(t, got, "WWW-Authenticate")
		expectNowhere(t, site.Gateway, site.upstream, got, token)
	}
	if n := len(site.idp.Forms()); n != 0 {
		t.Errorf("%d tokens were sent to the server", n)
	}
	if n := len(site.upstream.Received()); n != reached {
		t.Errorf("%d requests reached the upstream", n-reached)
	}
}

// Without a scope that the exchange may ask for, nothing is asked.
func TestNothingIsLeftOfTheScope(t *testing.T) {
	t.Parallel()
	site := startExchanges(t)
	for _, scope := range []any{"c", nil, "A B"} {
		got := site.Get("/named", site.idp.Token(map[string]any{"scope": scope})).Expect(t, http.StatusForbidden)
		if challenge := got.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) ||
			!strings.Contains(challenge, `scope="a b"`) {
			t.Errorf("challenge %s", challenge)
		}
		expectHeader(t, got, "Cache-Control", "no-store")
	}
	if n := len(site.idp.Forms()); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}
