package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// callback is where the client "web" is sent; nothing listens there.
const callback = "http://127.0.0.1:9/callback"

// User is a token of a person for a resource: the code flow with PKCE (RFC 7636)
// and a resource indicator, as a browser would go through it.
func (p *Provider) User(name, resource, scope string) string {
	p.tb.Helper()
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	code := p.code(p.Issuer + "/auth?" + url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {callback}, "login_hint": {name},
		"scope": {scope}, "resource": {resource}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	return p.token(p.post(call{url: p.Issuer + "/token", client: "web", form: url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"resource": {resource},
	}}), "Bearer")
}

// code follows redirects until one leads to the client.
func (p *Provider) code(target string) string {
	p.tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.tb.Fatal(err)
	}
	var back *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			back = next.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	request, err := http.NewRequestWithContext(p.tb.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		p.tb.Fatal(err)
	}
	answer, err := browser.Do(request)
	if err != nil {
		p.tb.Fatal(err)
	}
	_ = answer.Body.Close()
	if back == nil || back.Query().Get("code") == "" {
		p.tb.Fatalf("signing in ended at %s with %d", answer.Request.URL, answer.StatusCode)
	}
	return back.Query().Get("code")
}
