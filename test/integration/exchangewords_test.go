package integration_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What requests have in common.
const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtBearerGrant  = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	jwtType         = "urn:ietf:params:oauth:token-type:jwt"
)

// exchangesSite starts a gateway with one route for each exchange, by its name.
// Exchanges are written as their options; all have the client.
func exchangesSite(t *testing.T, exchanges map[string]string, pairs ...string) exchangeSite {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	openID(idp, "/other")
	var blocks, routes strings.Builder
	for name, options := range exchanges {
		fmt.Fprintf(&blocks, "\t\texchange %s {\n\t\t\tclient gateway\n%s\n\t\t}\n", name, options)
		fmt.Fprintf(&routes, "\thandle /%s {\n\t\ttoken_exchange %s\n\t\treverse_proxy $UPSTREAM\n\t}\n", name, name)
	}
	gateway := harness.Start(t, `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		client other {
			issuer $IDP/other
			client_id gateway
			secret canary-client-secret
			auth post
		}
`+blocks.String()+`	}
}
$SITE {
	token_auth main
`+routes.String()+`	handle {
		reverse_proxy $UPSTREAM
	}
}
`, append(pairs, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)...)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	return exchangeSite{gateway, idp, upstream}
}

// newForms are the requests since an earlier count.
func (s exchangeSite) newForms(before int) []url.Values { return s.idp.Forms()[before:] }

func TestExchangeGrantsAndWords(t *testing.T) {
	t.Parallel()
	type words struct {
		options, held string
		want          url.Values // beside the caller's token
	}
	exchange := func(more url.Values) url.Values {
		all := url.Values{"grant_type": {exchangeGrant}, "subject_token_type": {accessTokenType}, "subject_token": {"$TOKEN"}}
		maps.Copy(all, more)
		return all
	}
	tests := map[string]words{
		"jwtbearer": {
			"grant jwt_bearer\nscope_exact api://orders/.default\nparam requested_token_use on_behalf_of\naccept {\nwider_scope\n}", "a",
			url.Values{
				"grant_type": {jwtBearerGrant}, "assertion": {"$TOKEN"}, "scope": {"api://orders/.default"},
				"requested_token_use": {"on_behalf_of"},
			},
		},
		"credentials": {
			"grant client_credentials\nscope orders:read b\nresource https://orders.example.com", "orders:read c",
			url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}, "resource": {"https://orders.example.com"}},
		},
		"idtoken":  {"subject_type id_token\naudience x", "a", exchange(url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "audience": {"x"}})},
		"ownuri":   {"subject_type urn:example:own\naudience x", "a", exchange(url.Values{"subject_token_type": {"urn:example:own"}, "audience": {"x"}})},
		"exact":    {"scope_exact b a", "none of them", exchange(url.Values{"scope": {"a b"}})},
		"mapped":   {"scope r w\nscope_map r read\nscope_map w read\nscope_map w update", "w r", exchange(url.Values{"scope": {"read update"}})},
		"halfmap":  {"scope r w\nscope_map w update", "r", exchange(url.Values{"scope": {"r"}})},
		"param":    {"param connector_id ldap\nparam organization \"my org\"", "a", exchange(url.Values{"connector_id": {"ldap"}, "organization": {"my org"}})},
		"resource": {"resource https://a.example.com/x urn:b\naudience c", "a", exchange(url.Values{"resource": {"https://a.example.com/x", "urn:b"}, "audience": {"c"}})},
	}
	exchanges := make(map[string]string)
	for name, test := range tests {
		exchanges[name] = test.options
	}
	site := exchangesSite(t, exchanges)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			token := site.idp.Token(map[string]any{"scope": test.held, "jti": name})
			before := len(site.idp.Forms())
			got := site.Get("/"+name, token).Expect(t, http.StatusOK)
			for field, values := range test.want {
				if values[0] == "$TOKEN" {
					test.want[field] = []string{token}
				}
			}
			if diff := cmp.Diff([]url.Values{test.want}, site.newForms(before)); diff != "" {
				t.Errorf("the requests (-want +got):\n%s", diff)
			}
			expectNowhere(t, site.Gateway, site.upstream, got, token, "canary-client-secret")
		})
	}
}

// With client_credentials all callers with the same scopes share one token.
func TestExchangeClientCredentialsIsShared(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"mine": "grant client_credentials\nscope a b"})
	for i := range 4 {
		site.Get("/mine", site.idp.Token(map[string]any{"sub": fmt.Sprint("user", i), "scope": "a"})).Expect(t, http.StatusOK)
	}
	site.Get("/mine", site.idp.Token(map[string]any{"scope": "b a"})).Expect(t, http.StatusOK)
	site.Get("/mine", site.idp.Token(map[string]any{"scope": "c"})).Expect(t, http.StatusForbidden)
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d requests, want one for each set of scopes", n)
	}
}

// A chain: the first leg's result goes to the second server, in the second
// client's name, and only the last one's to the upstream.
func TestExchangeChain(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"chain": `audience $IDP/other
		requested_type jwt
		then {
			grant jwt_bearer
			client other
			scope_exact far:read
			resource https://far.example.com
		}`})
	step := func(form url.Values) map[string]any {
		if form.Get("grant_type") == exchangeGrant {
			return site.idp.Issued(form, map[string]any{"issued_token_type": jwtType, "token_type": "N_A"})
		}
		return site.idp.Issued(form, nil)
	}
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(step(form)) })
	token := site.idp.Token(map[string]any{"jti": "chain"})
	got := site.Get("/chain", token).Expect(t, http.StatusOK)
	forms := site.idp.Forms()
	if len(forms) != 2 {
		t.Fatalf("%d requests", len(forms))
	}
	between := forms[1].Get("assertion")
	want := []url.Values{
		{
			"grant_type": {exchangeGrant}, "subject_token_type": {accessTokenType}, "subject_token": {token},
			"audience": {site.idp.URL + "/other"}, "requested_token_type": {jwtType},
		},
		{
			"grant_type": {jwtBearerGrant}, "assertion": {between}, "scope": {"far:read"}, "resource": {"https://far.example.com"},
			"client_id": {"gateway"}, "client_secret": {"canary-client-secret"},
		},
	}
	if diff := cmp.Diff(want, forms); diff != "" {
		t.Errorf("the requests (-want +got):\n%s", diff)
	}
	if claims := harness.Claims(t, between); claims["aud"] != site.idp.URL+"/other" {
		t.Errorf("the second leg was fed with %v", claims)
	}
	if claims := harness.Claims(t, site.upstream.Last(t).Bearer()); claims["aud"] != "https://far.example.com" {
		t.Errorf("the upstream got %v", claims)
	}
	expectNowhere(t, site.Gateway, site.upstream, got, token, between, "canary-client-secret")

	site.Get("/chain", token).Expect(t, http.StatusOK)
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d requests for the same token again", n-2)
	}
}

// The second leg refuses what the first one got: the caller is not to blame. Where
// it came from the memory, it is dropped and asked for once more (section 5).
func TestExchangeLegRefused(t *testing.T) {
	t.Parallel()
	chain := "audience $IDP/other\nrequested_type jwt\nmax_ttl 1m\nthen {\ngrant jwt_bearer\nclient other\nscope_exact far:read\n}"
	site := exchangesSite(t, map[string]string{
		"one": chain, "two": strings.Replace(chain, "1m", "2m", 1), // another one, so that it remembers nothing of the first
	})
	var second func(form url.Values, w http.ResponseWriter)
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if form.Get("grant_type") == exchangeGrant {
			_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"issued_token_type": jwtType, "token_type": "N_A"}))
			return
		}
		second(form, w)
	})
	second = refusalWith(http.StatusBadRequest, "invalid_grant")
	token := site.idp.Token(map[string]any{"jti": "leg"})
	toldMisconfigured.expect(t, site.Get("/one", token), false, http.MethodGet)
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d requests, want one a leg", n)
	}
	// Now leg 1 is remembered.
	refused := 0
	second = func(form url.Values, w http.ResponseWriter) {
		refused++
		if refused == 1 {
			refusalWith(http.StatusBadRequest, "invalid_grant")(form, w)
			return
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	}
	site.Get("/one", token).Expect(t, http.StatusOK)
	var grants []string
	for _, form := range site.newForms(2) {
		grants = append(grants, form.Get("grant_type"))
	}
	if diff := cmp.Diff([]string{jwtBearerGrant, exchangeGrant, jwtBearerGrant}, grants); diff != "" {
		t.Errorf("after a refusal (-want +got):\n%s", diff)
	}
	// What refuses the second one as well is left alone for a while: else every request
	// of one caller would be three calls.
	second = refusalWith(http.StatusBadRequest, "invalid_grant")
	token = site.idp.Token(map[string]any{"jti": "again"})
	before := len(site.idp.Forms())
	for range 5 {
		toldMisconfigured.expect(t, site.Get("/one", token), false, http.MethodGet)
	}
	if n := len(site.newForms(before)); n != 5 {
		t.Errorf("%d requests for five of one caller, want 5", n)
	}
	second = refusalWith(http.StatusForbidden, "access_denied")
	toldDenied.expect(t, site.Get("/two", token), false, http.MethodGet)
}
