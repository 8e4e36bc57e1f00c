//go:build interop

package keycloak

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A person sits before a browser that keeps its cookies.
type person struct {
	r       *realm
	name    string
	browser *http.Client
}

func (r *realm) newPerson(name string) *person {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &person{r: r, name: name, browser: &http.Client{
		Timeout: client.Timeout, Transport: client.Transport, CheckRedirect: client.CheckRedirect, Jar: trusting{jar},
	}}
}

// trusting sends cookies that are for TLS to loopback without it, as browsers do.
type trusting struct{ http.CookieJar }

func (j trusting) SetCookies(from *url.URL, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		cookie.Secure = false
	}
	j.CookieJar.SetCookies(from, cookies)
}

var action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// A login is what one came to: its tokens, and the session that they belong to.
type login struct{ access, id, refresh, session string }

// login goes through the code flow with further parameters, fills in what Keycloak
// asks, and returns what the client gets.
func (p *person) login(scope string, parameters url.Values) login {
	p.r.t.Helper()
	const callback = "http://127.0.0.1/callback"
	query := url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {callback}, "scope": {"openid " + scope}}
	maps.Copy(query, parameters)
	page := do(p.r.t, p.browser, newRequest(p.r.t, http.MethodGet, p.r.issuer+"/protocol/openid-connect/auth?"+query.Encode(), "", nil))
	for range 4 {
		if location := page.Header.Get("Location"); strings.HasPrefix(location, callback) {
			return p.redeem(location, callback)
		} else if location != "" {
			page = do(p.r.t, p.browser, newRequest(p.r.t, http.MethodGet, location, "", nil))
			continue
		}
		found := action.FindStringSubmatch(page.Body)
		if found == nil {
			p.r.t.Fatalf("status %d and no form: %s", page.Status, page.Body)
		}
		fields := url.Values{"username": {p.name}, "password": {p.name + "-password"}}
		if strings.Contains(page.Body, `name="otp"`) {
			fields = url.Values{"otp": {oneTime("gatehouse-interop-"+p.name, time.Now())}}
		}
		page = do(p.r.t, p.browser, newRequest(p.r.t, http.MethodPost, html.UnescapeString(found[1]), form, []byte(fields.Encode())))
	}
	p.r.t.Fatalf("the login does not end: status %d: %s", page.Status, page.Body)
	return login{}
}

func (p *person) redeem(location, callback string) login {
	p.r.t.Helper()
	back, err := url.Parse(location)
	if err != nil {
		p.r.t.Fatal(err)
	}
	answer := p.r.post("token", "web", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback},
	})
	if answer.Status != http.StatusOK {
		p.r.t.Fatalf("redeeming %s: %d %s", back.Query().Get("error"), answer.Status, answer.Body)
	}
	got := members(p.r.t, answer)
	access := got["access_token"].(string)
	session, _ := harness.Claims(p.r.t, access)["sid"].(string)
	if session == "" {
		p.r.t.Fatal("the access token names no session")
	}
	return login{access: access, id: got["id_token"].(string), refresh: got["refresh_token"].(string), session: session}
}

// oneTime is a time-based one-time password (RFC 6238) as realm.json has it: six
// digits, each 30 seconds, SHA-1.
func oneTime(secret string, now time.Time) string {
	counter := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()/30))
	code := hmac.New(sha1.New, []byte(secret))
	code.Write(counter)
	sum := code.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1000000)
}
