package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// callback is where the client "web" is sent; nothing listens there.
const callback = "http://127.0.0.1:9/callback"

// A Person sits before a browser that keeps its cookies.
type Person struct {
	provider *Provider
	tb       testing.TB
	name     string
	browser  *http.Client
	back     *url.URL // where the last login led
}

// Person has not signed in yet.
func (p *Provider) Person(name string) *Person {
	p.tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.tb.Fatal(err)
	}
	person := &Person{provider: p, tb: p.tb, name: name}
	person.browser = &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			person.back = next.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return person
}

// User is a token of a person who signs in for it.
func (p *Provider) User(name, resource, scope string) string {
	p.tb.Helper()
	return p.Person(name).Token(resource, scope, nil)
}

// Token is a token for a resource: the code flow with PKCE (RFC 7636) and a resource
// indicator, and with further parameters of the authorization request.
func (u *Person) Token(resource, scope string, further url.Values) string {
	u.tb.Helper()
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {callback}, "login_hint": {u.name},
		"scope": {scope}, "resource": {resource}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	maps.Copy(query, further)
	issuer := u.provider.Issuer
	return u.provider.token(u.provider.post(call{url: issuer + "/token", client: "web", form: url.Values{
		"grant_type": {"authorization_code"}, "code": {u.code(issuer + "/auth?" + query.Encode())}, "redirect_uri": {callback},
		"code_verifier": {verifier}, "resource": {resource},
	}}), "Bearer")
}

// code follows redirects until one leads to the client.
func (u *Person) code(target string) string {
	u.tb.Helper()
	u.back = nil
	request, err := http.NewRequestWithContext(u.tb.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		u.tb.Fatal(err)
	}
	answer, err := u.browser.Do(request)
	if err != nil {
		u.tb.Fatal(err)
	}
	_ = answer.Body.Close()
	if u.back == nil || u.back.Query().Get("code") == "" {
		u.tb.Fatalf("signing in ended at %s with %d, and led to %s", answer.Request.URL, answer.StatusCode, u.back)
	}
	return u.back.Query().Get("code")
}
