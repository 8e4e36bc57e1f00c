package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestAttack37OneSource(t *testing.T) {
	w := startSources(t)
	bearer, cookie := "Bearer "+w.token, "a=1; session="+w.token+"; b=2"
	w.expect(true, "GET", "/header/", "X-Access-Token", w.token)
	w.expect(true, "GET", "/all/", "Authorization", bearer)
	w.expect(true, "GET", "/all/", "X-Access-Token", w.token)
	w.expect(true, "GET", "/all/", "Cookie", cookie)
	w.expect(true, "GET", "/all/?access_token="+w.token, "Accept", "text/event-stream")
	if got := w.expect(true, "GET", "/cookie/", "Cookie", cookie); got.Header.Get("Cookie") != "a=1; b=2" {
		t.Errorf("the other cookies are %q", got.Header["Cookie"])
	}
	got := w.expect(true, "GET", "/query/?b=2&access_token="+w.token+"&a=%20", "Accept", "text/event-stream")
	if got.Query != "b=2&a=%20" || got.Header.Get("X-Orig") != "/query/?b=2&a=%20 b=2&a=%20 ?b=2&a=%20" {
		t.Errorf("the other parameters are %q, and the original %q", got.Query, got.Header["X-Orig"])
	}
	for path, headers := range map[string][]string{
		"/cookie/": {"Cookie", cookie}, "/header/": {"X-Access-Token", w.token},
		"/query/?access_token=" + w.token: {"Accept", "text/event-stream"},
	} {
		w.refusedWith(400, "GET", path, append(headers, "Authorization", "Basic YTpi")...)
		w.refusedWith(400, "GET", path, append(headers, "Authorization", bearer)...)
		w.refusedWith(400, "GET", path, "Authorization", bearer)
	}
	w.refusedWith(400, "GET", "/all/", "Authorization", bearer, "Cookie", "session=nonsense")
	w.refusedWith(400, "GET", "/all/", "Authorization", "Basic YTpi", "Cookie", cookie)
	w.refusedWith(400, "GET", "/all/?access_token=x", "X-Access-Token", w.token, "Accept", "text/event-stream")
	w.refusedWith(400, "GET", "/cookie/", "Cookie", cookie+"; session="+w.token)
	w.refusedWith(400, "GET", "/query/?access_token="+w.token+"&%61ccess_token="+w.token, "Accept", "text/event-stream")
	w.refusedWith(400, "GET", "/query/?access_token="+w.token)
	w.refusedWith(400, "POST", "/query/?access_token="+w.token, "Accept", "text/event-stream")
	w.refusedWith(401, "GET", "/header/", "Cookie", "session=elsewhere")
	w.refusedWith(401, "GET", "/cookie/", "X-Access-Token", "elsewhere")
	for _, got := range w.upstream.Received() {
		if got.Holds(w.token) {
			t.Errorf("%s: the token reached the upstream: %v", got.Path, got.Header)
		}
	}
	if strings.Contains(w.Log(), w.token) {
		t.Error("the log holds the token, and its filter is the documented one")
	}
}

// The token is nowhere behind the gateway: neither on the way nor where an error
// leads, from whatever source it came.
func TestAttack47Sources(t *testing.T) {
	w := startSources(t)
	stream := []string{"Accept", "text/event-stream"}
	w.expect(true, "GET", "/cookie/", "Cookie", "session="+w.token)
	w.expect(true, "GET", "/header/", "X-Access-Token", w.token)
	w.expect(true, "GET", "/query/?access_token="+w.token, stream...)
	failed := len(w.failures.Received())
	w.expect(false, "GET", "/dead/?%61ccess_token="+w.token+"&x=y", stream...)
	w.expect(false, "GET", "/dead/", "Cookie", "session="+w.token)
	w.expect(false, "GET", "/dead/", "X-Access-Token", w.token)
	w.expect(false, "GET", "/query/?access_token="+w.token)
	w.expect(false, "POST", "/cookie/", "Cookie", "session="+w.token)
	w.expect(false, "GET", "/header/", "X-Access-Token", w.token, "X-Access-Token", w.token)
	w.expect(false, "GET", "/cookie/", "Authorization", "Bearer "+w.token)
	// forward_token: error routes and upstreams with a token of their own never see
	// the caller's.
	w.expect(false, "GET", "/forward/dead", "Authorization", "Bearer "+w.token)
	w.expect(false, "GET", "/forward/dead?access_token="+w.token, stream...)
	w.expect(false, "GET", "/forward/dead", "Cookie", "session="+w.token)
	if n := len(w.failures.Received()) - failed; n != 10 {
		t.Errorf("%d requests of the error route, want 10", n)
	}
	for _, headers := range [][]string{{"Authorization", "Bearer " + w.token}, {"Cookie", "session=" + w.token}} {
		got := w.expect(true, "GET", "/forward/exchange", headers...)
		if harness.Claims(t, got.Bearer())["aud"] != "orders" {
			t.Error("the upstream got no token of its own")
		}
	}
	w.expect(true, "GET", "/forward/exchange?access_token="+w.token, stream...)
	w.nowhere()
	if got := w.expect(true, "GET", "/forward/", "Authorization", "Bearer "+w.token); got.Bearer() != w.token {
		t.Error("forward_token does not forward")
	}
	if got := w.expect(true, "GET", "/forward/", "Cookie", "a=b; session="+w.token); got.Header.Get("Cookie") != "a=b; session="+w.token {
		t.Error("forward_token does not forward the cookie")
	}
	if got := w.expect(true, "GET", "/forward/?a=b&access_token="+w.token, stream...); got.Query != "a=b&access_token="+w.token {
		t.Error("forward_token does not forward the parameter")
	}
}

func TestAttack53CookieFromAnotherSite(t *testing.T) {
	w := startSources(t)
	cookie := []string{"Cookie", "session=" + w.token}
	with := func(headers ...string) []string { return slices.Concat(cookie, headers) }
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"} {
		w.refusedWith(403, method, "/cookie/", cookie...)
		w.refusedWith(403, method, "/cookie/", with("Origin", "https://evil.example.com")...)
		w.refusedWith(403, method, "/cookie/", with("Sec-Fetch-Site", "cross-site")...)
		w.refusedWith(403, method, "/cookie/", with("Origin", "https://evil.example.com", "X-Forwarded-Host", "evil.example.com", "X-Forwarded-Proto", "https")...)
		w.expect(true, method, "/cookie/", with("Sec-Fetch-Site", "same-origin")...)
		w.expect(true, method, "/cookie/", with("Origin", w.URL)...)
	}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	w.refusedWith(403, "GET", "/cookie/", with(upgrade...)...)
	w.refusedWith(403, "GET", "/cookie/", with(append(upgrade, "Origin", "null")...)...)
	w.expect(true, "GET", "/cookie/", with(append(upgrade, "Origin", w.URL)...)...)
	w.expect(true, "GET", "/cookie/", with("Origin", "https://evil.example.com")...)
	if answer := w.refusedWith(403, "POST", "/cookie/", cookie...); answer.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a challenge: %v", answer.Header)
	}
}

func TestAttack55EarlyData(t *testing.T) {
	w := startSources(t)
	for _, header := range []http.Header{{"Early-Data": {"1"}}, {"Early-Data": {"0"}}, {"Early-Data": {"", "1"}}} {
		for _, method := range []string{"POST", "DELETE", "FETCH"} {
			request := w.Request(method, "/default/", w.token)
			maps.Copy(request.Header, header)
			reached, lines := len(w.upstream.Received()), len(w.denials())
			answer := w.Do(request)
			harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(w.denials()) > lines })
			if w.denials()[lines]["status"] != 425.0 || answer.Header.Get("WWW-Authenticate") != "" || len(w.upstream.Received()) != reached {
				t.Errorf("%s early: %v, %v", method, w.denials()[lines], answer.Header)
			}
		}
		request := w.Request(http.MethodGet, "/default/", w.token)
		maps.Copy(request.Header, header)
		w.Do(request).Expect(t, http.StatusOK)
	}
	w.refusedWith(425, "POST", "/optional/", "Early-Data", "1")
}

func TestAttack36Optional(t *testing.T) {
	w := startSources(t)
	got := w.expect(true, "GET", "/optional/", "X-User", "admin", "X-Email", "admin")
	if got.Header.Get("X-User") != "" || got.Header.Get("X-Email") != "" || got.Header.Get("X-Has-Email") != "false" {
		t.Errorf("nobody is %v", got.Header)
	}
	if got := w.expect(true, "GET", "/optional/", "Authorization", "Bearer "+w.token); got.Header.Get("X-User") != "alice" {
		t.Errorf("alice is %v", got.Header)
	}
	const nobody = `Bearer realm="the orders", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`
	for _, path := range []string{"/optional/require", "/optional/exchange"} {
		answer := w.refusedWith(401, "GET", path)
		if got := answer.Header.Get("WWW-Authenticate"); got != nobody {
			t.Errorf("%s: challenge %q", path, got)
		}
	}
	for _, value := range []string{"", "Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", "Bearer " + w.token + "x", w.token} {
		w.refusedWith(401, "GET", "/optional/", "Authorization", value)
	}
	w.refusedWith(400, "GET", "/optional/", "Authorization", "Bearer "+w.token, "Authorization", "")
	lacking := w.idp.Token(map[string]any{"scope": "other"})
	answer := w.refusedWith(403, "GET", "/optional/require", "Authorization", "Bearer "+lacking)
	if got := answer.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="the orders", error="insufficient_scope"`) ||
		!strings.HasSuffix(got, `, resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`) {
		t.Errorf("challenge %q", got)
	}
	if forms := w.idp.Forms(); len(forms) != 0 {
		t.Errorf("%d exchanges for nobody", len(forms))
	}
}

func TestAttack43SourcesAndCaches(t *testing.T) {
	w := startSources(t)
	tests := []struct {
		path, vary, cache string
		headers           []string
	}{
		{"/default/", "Authorization", "private", []string{"Authorization", "Bearer " + w.token}},
		{"/optional/", "Authorization", "private", nil},
		{"/cookie/", "Cookie", "private", []string{"Cookie", "session=" + w.token}},
		{"/header/", "X-Access-Token", "private", []string{"X-Access-Token", w.token}},
		{"/query/?access_token=" + w.token, "", "no-store", []string{"Accept", "text/event-stream"}},
	}
	for _, test := range tests {
		answer := w.ask("GET", test.path, test.headers...).Expect(t, http.StatusOK)
		if vary, cache := answer.Header.Get("Vary"), answer.Header.Get("Cache-Control"); vary != test.vary || cache != test.cache {
			t.Errorf("%.10s: Vary %q, Cache-Control %q", test.path, vary, cache)
		}
	}
}
