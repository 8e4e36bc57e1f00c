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
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A user is sent from a weak login to a strong one by the challenge (RFC 9470),
// with the lines of examples/step-up.
func TestStepUp(t *testing.T) {
	r := newRealm(t)
	gateway := example(t, "step-up", r, harness.NewUpstream(t))
	person := r.newPerson("carol")
	weak := person.login("orders:read payments:write", url.Values{"acr_values": {"silver"}})
	if acr := harness.Claims(t, weak)["acr"]; acr != "silver" {
		t.Fatalf("acr is %v after a password", acr)
	}
	gateway.Await("/orders/1", weak, http.StatusOK)
	challenge := gateway.Get("/payments/1", weak).Expect(t, http.StatusUnauthorized).Header.Get("WWW-Authenticate")
	if !strings.Contains(challenge, `error="insufficient_user_authentication"`) {
		t.Fatalf("the challenge is %q", challenge)
	}
	asked := url.Values{}
	for _, parameter := range regexp.MustCompile(`(acr_values|max_age)="([^"]+)"`).FindAllStringSubmatch(challenge, -1) {
		asked.Set(parameter[1], parameter[2])
	}
	if len(asked) != 2 {
		t.Fatalf("the challenge is %q", challenge)
	}
	strong := person.login("orders:read payments:write", asked)
	if claims := harness.Claims(t, strong); claims["acr"] != "gold" || claims["auth_time"] == nil {
		t.Fatalf("after both factors: %v", claims)
	}
	gateway.Get("/payments/1", strong).Expect(t, http.StatusOK)
	gateway.Get("/payments/1", weak).Expect(t, http.StatusUnauthorized)
}

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

// login goes through the code flow with further parameters, fills in what Keycloak
// asks, and returns the access token.
func (p *person) login(scope string, parameters url.Values) string {
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
	return ""
}

func (p *person) redeem(location, callback string) string {
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
	return members(p.r.t, answer)["access_token"].(string)
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
