//go:build interop

package keycloak

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// proved sends a form to the token endpoint with a DPoP proof of the holder.
func (r *realm) proved(holder *harness.Holder, id string, fields url.Values) harness.Answer {
	r.t.Helper()
	const path = "/protocol/openid-connect/token"
	request := newRequest(r.t, http.MethodPost, r.issuer+path, form, []byte(fields.Encode()))
	request.SetBasicAuth(id, id+"-secret")
	request.Header.Set("DPoP", holder.Proof(http.MethodPost, r.issuer+path, "", ""))
	return do(r.t, client, request)
}

// Tokens that Keycloak binds to a key of the client's (RFC 9449), with the lines
// of examples/dpop.
func TestDPoP(t *testing.T) {
	r := newRealm(t)
	upstream := harness.NewUpstream(t)
	gateway := example(t, "dpop", r, upstream)
	holder, thief := harness.NewHolder(t), harness.NewHolder(t)
	answer := members(t, r.proved(holder, "dpop", password("alice", "")))
	if answer["token_type"] != "DPoP" {
		t.Fatalf("Keycloak answers %v", answer)
	}
	token := answer["access_token"].(string)
	const public = "https://api.example.com/orders/1"
	ask := func(by *harness.Holder) *http.Request {
		return by.Prove(gateway.Request(http.MethodGet, "/orders/1", ""), public, token, "")
	}
	harness.Eventually(t, "a proved request goes through", func() bool { return gateway.Do(ask(holder)).Status == http.StatusOK })
	if upstream.Last(t).Holds(token) {
		t.Error("the upstream got the caller's token")
	}
	gateway.Do(ask(thief)).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", token).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", r.token("web", "alice", "")).Expect(t, http.StatusUnauthorized)
	used := ask(holder)
	gateway.Do(used).Expect(t, http.StatusOK)
	gateway.Do(used.Clone(t.Context())).Expect(t, http.StatusUnauthorized)
}

// Tokens that Keycloak binds to a client's certificate (RFC 8705), with the lines
// of examples/mtls.
func TestMTLS(t *testing.T) {
	r := newRealm(t)
	address := harness.FreeAddress(t)
	secure := "https://localhost" + address[strings.LastIndex(address, ":"):]
	gateway := example(t, "mtls", r, harness.NewUpstream(t),
		"{\n\tgatehouse {", "{\n\tskip_install_trust\n\tauto_https disable_redirects\n\tgatehouse {",
		"\napi.example.com {", "\n"+secure+" {", "\ttls {", "\ttls internal {")
	mine, err := keycloak.authority.forClient("mtls")
	if err != nil {
		t.Fatal(err)
	}
	another := harness.NewCertificate(t).Certificate
	request := newRequest(t, http.MethodPost, strings.Replace(r.issuer, keycloak.url, keycloak.secure, 1)+"/protocol/openid-connect/token",
		form, []byte(password("alice", "").Encode()))
	request.SetBasicAuth("mtls", "mtls-secret")
	answer := members(t, do(t, keycloak.withCertificate(mine), request))
	token, ok := answer["access_token"].(string)
	if !ok {
		t.Fatalf("Keycloak answers %v", answer)
	}
	if claims := harness.Claims(t, token); claims["cnf"] == nil || claims["iss"] != r.issuer {
		t.Fatalf("the token holds %v", claims)
	}
	ask := func(token string, certificates ...tls.Certificate) int {
		by := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates},
		}}
		request, err := http.NewRequest(http.MethodGet, secure+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := by.Do(request)
		if err != nil {
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	harness.Eventually(t, "the right certificate goes through", func() bool { return ask(token, mine) == http.StatusOK })
	for what, status := range map[string]int{
		"no certificate": ask(token), "another one": ask(token, another), "a plain token": ask(r.token("web", "alice", ""), mine),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	if text := gateway.Log(); strings.Contains(text, token) {
		t.Error("the token is in the log")
	}
}
