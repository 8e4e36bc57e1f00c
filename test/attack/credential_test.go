package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A request without one good credential, in the one place for it, is nobody's.
func TestAttack36MissingToken(t *testing.T) {
	w := attacked(t)
	good, other := w.token(nil), w.token(nil)
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR"} {
		request := w.request(http.MethodGet, "/a/", "")
		request.Header["Authorization"] = []string{scheme + " " + good}
		w.do(request).Expect(t, http.StatusOK)
	}
	tests := map[string]struct {
		header    http.Header
		query     string
		status    int
		challenge string
	}{
		"nothing":             {nil, "", 401, challengeMissing},
		"empty":               {http.Header{"Authorization": {""}}, "", 401, challengeMissing},
		"Bearer alone":        {http.Header{"Authorization": {"Bearer"}}, "", 401, challengeMissing},
		"Bearer and blanks":   {http.Header{"Authorization": {"Bearer    "}}, "", 401, challengeMissing},
		"no scheme":           {http.Header{"Authorization": {good}}, "", 401, challengeMissing},
		"Basic":               {http.Header{"Authorization": {"Basic " + good}}, "", 401, challengeMissing},
		"DPoP":                {http.Header{"Authorization": {"DPoP " + good}}, "", 401, challengeUnkeyed},
		"Bearer with a colon": {http.Header{"Authorization": {"Bearer:" + good}}, "", 401, challengeMissing},
		"Bearers":             {http.Header{"Authorization": {"Bearers " + good}}, "", 401, challengeMissing},
		"a tab":               {http.Header{"Authorization": {"Bearer\t" + good}}, "", 401, challengeMissing},
		"two headers":         {http.Header{"Authorization": {"Bearer " + good, "Bearer " + other}}, "", 400, challengeMalformed},
		"twice the same":      {http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, "", 400, challengeMalformed},
		"good, then nothing":  {http.Header{"Authorization": {"Bearer " + good, ""}}, "", 400, challengeMalformed},
		"nothing, then good":  {http.Header{"Authorization": {"", "Bearer " + good}}, "", 400, challengeMalformed},
		"Basic, then good":    {http.Header{"Authorization": {"Basic YTpi", "Bearer " + good}}, "", 400, challengeMalformed},
		"a comma":             {http.Header{"Authorization": {"Bearer " + good + ",Bearer " + other}}, "", 400, challengeMalformed},
		"a parameter":         {http.Header{"Authorization": {"Bearer " + good + " realm=x"}}, "", 400, challengeMalformed},
		"quoted":              {http.Header{"Authorization": {`Bearer "` + good + `"`}}, "", 401, challengeInvalid},
		"in the query":        {nil, "?access_token=" + good, 401, challengeMissing},
		"in a cookie":         {http.Header{"Cookie": {"access_token=" + good + "; Authorization=Bearer " + good}}, "", 401, challengeMissing},
		"in other headers": {http.Header{
			"X-Authorization": {"Bearer " + good}, "Proxy-Authorization": {"Bearer " + good}, "X-Forwarded-Authorization": {"Bearer " + good},
			"X-Forwarded-Access-Token": {good}, "X-Upstream-Token": {good}, "X-User": {"alice"},
		}, "", 401, challengeMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/a/", "/orders/", "/roles/"} {
				w := attacked(t)
				request := w.request(http.MethodGet, path+test.query, "")
				maps.Copy(request.Header, test.header)
				w.refusedAs(request, test.status, test.challenge)
			}
		})
	}
}

// One source counts: what else is sent changes nothing, and is not used.
func TestAttack37SeveralCredentials(t *testing.T) {
	w := attacked(t)
	good, mallorys := w.token(nil), w.token(map[string]any{"sub": "mallory"})
	for _, elsewhere := range []string{mallorys, "nonsense"} {
		request := w.request(http.MethodGet, "/a/?access_token="+elsewhere, good)
		request.Header["Cookie"] = []string{"access_token=" + elsewhere}
		w.do(request).Expect(t, http.StatusOK)
		if user := w.upstream.Last(t).Header.Get("X-User"); user != "a/alice" {
			t.Errorf("with %.10q elsewhere the caller is %q", elsewhere, user)
		}
	}
	bad := w.request(http.MethodGet, "/a/?access_token="+good, "nonsense")
	bad.Header["Cookie"] = []string{"access_token=" + good}
	w.refusedAs(bad, http.StatusUnauthorized, challengeInvalid)
}

// Without the issuer's keys there are no keys: nothing stands in for them.
func TestAttack38NoKeysYet(t *testing.T) {
	w := attacked(t)
	claims := tokentest.Claims(w.down.URL, nil)
	header := map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
	parts := strings.Split(w.down.Token(nil), ".")
	tokens := map[string]string{
		"by its own key":       w.down.Token(nil),
		"without a kid":        w.down.Key.Sign(map[string]any{"kid": nil}, claims),
		"by another's key":     w.a.Key.Sign(nil, claims),
		"by a thief":           w.thief.Sign(map[string]any{"jku": w.trap.URL, "jwk": w.thief.JWK()}, claims),
		"by an empty secret":   tokentest.HS256(nil, header, claims),
		"by a default secret":  tokentest.HS256([]byte("secret"), header, claims),
		"unsigned":             parts[0] + "." + parts[1] + ".",
		"signed with nothing":  parts[0] + "." + parts[1] + "." + tokentest.Encode(make([]byte, 64)),
		"with algorithm none":  tokentest.HS256(nil, map[string]any{"alg": "none"}, claims),
		"without a credential": "",
	}
	reached := len(w.upstream.Received())
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				answer := attacked(t).get("/down/", token)
				unavailable := answer.Status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "" &&
					answer.Header.Get("WWW-Authenticate") == ""
				if !unavailable && answer.Status != http.StatusUnauthorized {
					t.Errorf("status %d, header %v", answer.Status, answer.Header)
				}
			}
		})
	}
	if n := len(w.upstream.Received()); n != reached {
		t.Errorf("the upstream was reached %d times", n-reached)
	}
	if answer := w.get("/down/", w.down.Token(nil)); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("a token that may be fine gets %d, want 503", answer.Status)
	}
	w.trap.untouched(t)
}

// The answer to TRACE is the request as the upstream got it: no way to be shown
// the upstream's token. Methods are case-sensitive, but not to every upstream.
func TestAttack44Trace(t *testing.T) {
	w := attacked(t)
	for _, path := range []string{"/orders/", "/header/"} {
		for _, method := range []string{http.MethodTrace, "trace", "Trace"} {
			before := len(w.upstream.Received())
			answer := w.do(w.request(method, path, w.token(nil)))
			if answer.Status != http.StatusMethodNotAllowed || len(w.upstream.Received()) != before {
				t.Errorf("%s %s: %d, and the upstream was asked %d times, with its token", method, path, answer.Status, len(w.upstream.Received())-before)
			}
			if answer.Header.Get("Allow") == "" || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: the answer has %v", method, path, answer.Header)
			}
		}
		w.do(w.request(http.MethodOptions, path, w.token(nil))).Expect(t, http.StatusOK)
	}
}

// No method and no protocol is a way around.
func TestAttack44Methods(t *testing.T) {
	kinds := map[string]http.Header{
		"plain":     {},
		"WebSocket": {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
		"h2c":       {"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}},
		"gRPC":      {"Content-Type": {"application/grpc"}, "Te": {"trailers"}},
		"preflight": {"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}},
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GARBAGE", "get"} {
		for kind, header := range kinds {
			t.Run(method+" "+kind, func(t *testing.T) {
				w := attacked(t)
				ask := func(path, token string) *http.Request {
					request := w.request(method, path, token)
					maps.Copy(request.Header, header)
					request.Header["X-User"], request.Header["X-Email"] = []string{"admin"}, []string{"admin"}
					return request
				}
				w.refusedAs(ask("/a/", ""), http.StatusUnauthorized, challengeMissing)
				w.refusedAs(ask("/a/", w.b.Token(nil)), http.StatusUnauthorized, challengeInvalid)
				w.refusedAs(ask("/roles/", w.token(nil)), http.StatusForbidden, "")
				w.do(ask("/a/", w.token(nil))).Expect(t, http.StatusOK)
				got := w.upstream.Last(t)
				if !slices.Equal(got.Header["X-User"], []string{"a/alice"}) || got.Header.Get("X-Email") != "" || got.Bearer() != "" {
					t.Errorf("the upstream got %v", got.Header)
				}
			})
		}
	}
}
