//go:build interop

package zitadel_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// login fills in the example's page and redeems the code.
func (p provider) login(t *testing.T, client, name string, scopes ...string) *oauth2.Token {
	t.Helper()
	config := oauth2.Config{ClientID: client, ClientSecret: secret, RedirectURL: callback, Scopes: append([]string{"openid"}, scopes...), Endpoint: oauth2.Endpoint{
		AuthURL: p.issuer + "auth", TokenURL: p.issuer + "oauth/token", AuthStyle: oauth2.AuthStyleInHeader,
	}}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var back *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			back = next.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	verifier := oauth2.GenerateVerifier()
	page := send(t, browser, http.MethodGet, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), nil)
	send(t, browser, http.MethodPost, p.issuer+"login/username", url.Values{
		"username": {name}, "password": {password}, "id": {page.Query().Get("authRequestID")},
	})
	if back == nil || back.Query().Get("code") == "" {
		t.Fatalf("the login of %s at %s led nowhere", name, page)
	}
	token, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// send returns where the redirects led.
func send(t *testing.T, by *http.Client, method, target string, form url.Values) *url.URL {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := by.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.Request.URL
}

// post sends a form as a client and returns status and members of the answer.
func (p provider) post(t *testing.T, endpoint, client, password string, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var members map[string]any
	if answer.StatusCode == http.StatusOK && answer.ContentLength != 0 {
		if err := json.NewDecoder(answer.Body).Decode(&members); err != nil {
			t.Fatalf("%s: %v", endpoint, err)
		}
	}
	return answer.StatusCode, members
}
