package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// sources is a gateway that takes tokens from elsewhere than Authorization, or lets
// nobody pass.
const sources = `{
	debug
	log {
		format filter {
			request>uri query {
				replace access_token HIDDEN
			}
			request>headers>X-Access-Token delete
		}
	}
	servers {
		trusted_proxies static 192.0.2.0/24
	}
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
	}
}
(upstream) {
	reverse_proxy {args[0]} {
		header_up X-User {http.auth.user.id}
		header_up X-Email {http.auth.user.claim.email}
		header_up X-Has-Email {http.auth.user.has.email}
		header_up X-Orig "{http.request.orig_uri} {http.request.orig_uri.query} {http.request.orig_uri.prefixed_query}"
		header_up X-Uri "{http.request.uri} {http.request.uri.query.access_token} {http.request.header.Cookie} {http.request.header.X-Access-Token}"
	}
}
$SITE {
	log
	tracing {
		span gateway
	}
	handle /default/* {
		token_auth
		import upstream $UPSTREAM
	}
	handle /cookie/* {
		token_auth {
			from cookie session
		}
		import upstream $UPSTREAM
	}
	handle /header/* {
		token_auth {
			from header X-Access-Token
		}
		import upstream $UPSTREAM
	}
	handle /query/* {
		token_auth {
			from query access_token
		}
		import upstream $UPSTREAM
	}
	handle /all/* {
		token_auth {
			from header Authorization
			from header X-Access-Token
			from cookie session
			from query access_token
		}
		import upstream $UPSTREAM
	}
	handle /optional/* {
		token_auth {
			optional
			realm "the orders"
			resource https://api.example.com/v1?tenant=a
		}
		handle /optional/require {
			token_require scope orders:read
			import upstream $UPSTREAM
		}
		handle /optional/exchange {
			token_exchange orders
			import upstream $UPSTREAM
		}
		import upstream $UPSTREAM
	}
	handle /forward/* {
		token_auth {
			forward_token
			from header Authorization
			from cookie session
			from query access_token
		}
		handle /forward/exchange {
			token_exchange orders
			import upstream $UPSTREAM
		}
		handle /forward/dead {
			reverse_proxy $DEAD
		}
		import upstream $UPSTREAM
	}
	handle /dead/* {
		token_auth {
			from header X-Access-Token
			from cookie session
			from query access_token
		}
		reverse_proxy $DEAD
	}
	handle_errors {
		import upstream $ERRORS
	}
}
`

type sourceWorld struct {
	*harness.Gateway

	t                  *testing.T
	idp                *harness.AuthServer
	upstream, failures *harness.Upstream
	token              string
}

func startSources(t *testing.T) *sourceWorld {
	t.Helper()
	w := &sourceWorld{t: t, idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), failures: harness.NewUpstream(t)}
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	w.Gateway = harness.Start(t, sources, "$IDP", w.idp.URL, "$UPSTREAM", w.upstream.Address,
		"$ERRORS", w.failures.Address, "$DEAD", harness.FreeAddress(t))
	w.token = w.idp.Token(map[string]any{"jti": "source-token"})
	w.failures.Respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	harness.Eventually(t, "the keys have come", func() bool { return w.Get("/default/", w.token).Status == http.StatusOK })
	return w
}

// ask sends a request; headers come as names and values in turn.
func (w *sourceWorld) ask(method, path string, headers ...string) harness.Answer {
	w.t.Helper()
	request := w.Request(method, path, "")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header[headers[i]] = append(request.Header[headers[i]], headers[i+1])
	}
	return w.Do(request)
}

// expect asks, and holds the answer to come from the upstream or, with a status,
// from the gateway itself. It returns what the upstream got.
func (w *sourceWorld) expect(passes bool, method, path string, headers ...string) harness.Received {
	w.t.Helper()
	reached := len(w.upstream.Received())
	answer := w.ask(method, path, headers...)
	all := w.upstream.Received()
	if passes != (len(all) > reached) {
		w.t.Errorf("%s %s with %.60q: passes %t, answer %d %v", method, path, headers, !passes, answer.Status, answer.Header)
	}
	if !passes || len(all) == reached {
		return harness.Received{}
	}
	return all[len(all)-1]
}

// refusedWith asks and tells the status that the audit trail has of the refusal.
func (w *sourceWorld) refusedWith(status float64, method, path string, headers ...string) harness.Answer {
	w.t.Helper()
	reached := len(w.upstream.Received())
	lines := len(w.denials())
	answer := w.ask(method, path, headers...)
	if n := len(w.upstream.Received()); n != reached {
		w.t.Errorf("%s %s with %.60q passes", method, path, headers)
	}
	harness.Eventually(w.t, "the refusal is in the audit trail", func() bool { return len(w.denials()) > lines })
	if got := w.denials()[lines]["status"]; got != status {
		w.t.Errorf("%s %s with %.60q: status %v, want %v", method, path, headers, got, status)
	}
	return answer
}

func (w *sourceWorld) denials() []map[string]any {
	return slices.DeleteFunc(w.Audit(), func(line map[string]any) bool { return line["msg"] != "denied" })
}

// nowhere fails the test if the token was seen by an upstream or is in the log.
func (w *sourceWorld) nowhere() {
	w.t.Helper()
	for _, got := range slices.Concat(w.upstream.Received(), w.failures.Received()) {
		if got.Holds(w.token) || got.Holds("access_token") || got.Holds("session=") {
			w.t.Errorf("%s %s: the token, or its place, reached an upstream: %v", got.Path, got.Query, got.Header)
		}
	}
}

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
	const nobody = `Bearer realm="the orders", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1?tenant=a"`
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
		!strings.HasSuffix(got, `, resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1?tenant=a"`) {
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
