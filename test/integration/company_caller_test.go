package integration_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// bcrypt of canary-password.
const passwordHash = "$2a$04$BYg34yQI6.L6YABQWwq.lOVAYEyBC4r7S1AxemzKMOPc778U4IoKS"

const basicAuth = "$SITE {" + ready + `
	handle /both/* {
		token_auth
		basic_auth {
			bob $HASH
		}
		reverse_proxy $UPSTREAM
	}
	handle /optional/* {
		token_auth {
			optional
		}
		basic_auth {
			bob $HASH
		}
		reverse_proxy $UPSTREAM
	}
	handle /either/* {
		@basic header_regexp Authorization "(?i)^basic "
		handle @basic {
			basic_auth {
				bob $HASH
			}
			request_header -Authorization
			reverse_proxy $UPSTREAM {
				header_up X-User {http.auth.user.id}
			}
		}
		handle {
			token_auth
			token_exchange orders
			reverse_proxy $UPSTREAM {
				header_up X-User {http.auth.user.id}
			}
		}
	}
	handle /two/* {
		route {
			basic_auth {
				bob $HASH
			}
			request_header -Authorization
			token_auth {
				from header X-Access-Token
			}
			token_exchange orders
			reverse_proxy $UPSTREAM {
				header_up X-User {http.auth.user.id}
			}
		}
	}
}
`

const bobsPassword = "bob:canary-password"

func basic(request *http.Request, credential string) *http.Request {
	request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credential)))
	return request
}

// Two schemes on one header: token_auth takes the header, whatever its scheme, so
// basic_auth behind it lets nobody in.
func TestBasicAuthBehindTokenAuth(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", basicAuth, "$HASH", passwordHash)
	for _, path := range []string{"/both/1", "/optional/1"} {
		got := c.Get(path, c.token(nil)).Expect(t, http.StatusUnauthorized)
		if challenge := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: a good token is challenged with %q", path, challenge)
		}
		got = c.Do(basic(c.Request(http.MethodGet, path, ""), bobsPassword))
		if challenge := got.Header.Get("WWW-Authenticate"); got.Status < 400 || !strings.HasPrefix(challenge, "Bearer") {
			t.Errorf("%s: a good password: %d, challenge %q", path, got.Status, challenge)
		}
		request := c.Request(http.MethodGet, path, c.token(nil))
		request.Header.Add("Authorization", basic(c.Request(http.MethodGet, path, ""), bobsPassword).Header.Get("Authorization"))
		if got := c.Do(request); got.Status < 400 {
			t.Errorf("%s: token and password together: %d", path, got.Status)
		}
	}
	if n := len(c.upstream.Received()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// Where either will do, a matcher parts them.
func TestBasicAuthOrToken(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", basicAuth, "$HASH", passwordHash)
	token := c.token(nil)
	c.Get("/either/1", token).Expect(t, http.StatusOK)
	c.expectExchanged(t, token)
	if user := c.upstream.Last(t).Header.Get("X-User"); user != "alice" {
		t.Errorf("by token the user is %q", user)
	}
	c.Do(basic(c.Request(http.MethodGet, "/either/1", ""), bobsPassword)).Expect(t, http.StatusOK)
	got := c.upstream.Last(t)
	if user := got.Header.Get("X-User"); user != "bob" || len(got.Header["Authorization"]) > 0 {
		t.Errorf("by password the upstream got %q", got.Header)
	}
	c.Do(basic(c.Request(http.MethodGet, "/either/1", ""), "bob:wrong")).Expect(t, http.StatusUnauthorized)
	c.Get("/either/1", "bad").Expect(t, http.StatusUnauthorized)
	c.Get("/either/1", "").Expect(t, http.StatusUnauthorized)
}

// Where both are wanted, the token comes in a header of its own, and what
// basic_auth has read is taken off before token_auth, which allows no credential
// beside its own.
func TestBasicAuthAndToken(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", basicAuth, "$HASH", passwordHash)
	token := c.token(nil)
	tests := map[string]struct {
		password, token string
		status          int
	}{
		"both":         {bobsPassword, token, http.StatusOK},
		"no token":     {bobsPassword, "", http.StatusUnauthorized},
		"bad token":    {bobsPassword, "bad", http.StatusUnauthorized},
		"bad password": {"bob:wrong", token, http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := basic(c.Request(http.MethodGet, "/two/1", ""), test.password)
			if test.token != "" {
				request.Header.Set("X-Access-Token", test.token)
			}
			c.Do(request).Expect(t, test.status)
		})
	}
	c.expectExchanged(t, token)
	if user := c.upstream.Last(t).Header.Get("X-User"); user != "alice" {
		t.Errorf("the user is %q, want the token's", user)
	}
	if n := len(c.upstream.Received()); n != 1 {
		t.Errorf("%d requests reached the upstream, want one", n)
	}
}

const ordered = "$SITE {" + ready + `
	handle {
		token_auth
		token_exchange orders
		request_header X-Key "{http.auth.user.client}"
		@limited header X-Limited *
		respond @limited "{http.auth.user.id}|{http.request.header.Authorization}" 429
		reverse_proxy $UPSTREAM
	}
}
`

// A directive with a place relative to basic_auth, as rate limits have it, stands
// between token_auth and token_exchange: it knows the caller, sees no token, and
// what it refuses costs no exchange. In front of token_auth it knows nobody.
func TestOrderedDirectives(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		order, body string
		bad, status int // for a bad token, and for a good one
	}{
		"before basic_auth":     {"order respond before basic_auth", "alice|", http.StatusUnauthorized, http.StatusTooManyRequests},
		"after basic_auth":      {"order respond after basic_auth", "alice|", http.StatusUnauthorized, http.StatusTooManyRequests},
		"before token_exchange": {"order respond before token_exchange", "alice|", http.StatusUnauthorized, http.StatusTooManyRequests},
		"after token_auth":      {"order respond after token_auth", "alice|", http.StatusUnauthorized, http.StatusTooManyRequests},
		"before token_auth":     {"order respond before token_auth", "{http.auth.user.id}|Bearer ", http.StatusTooManyRequests, http.StatusTooManyRequests},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// ready's own respond is ordered as well, so it is inside route.
			sites := strings.Replace(ordered, ready, "\n\thandle /ready {\n\t\troute {\n\t\t\ttoken_auth\n\t\t\trespond 204\n\t\t}\n\t}\n", 1)
			c := startCompany(t, test.order, sites)
			token := c.token(nil)
			for presented, status := range map[string]int{"bad": test.bad, token: test.status} {
				request := c.Request(http.MethodGet, "/", presented)
				request.Header.Set("X-Limited", "yes")
				got := c.Do(request).Expect(t, status)
				if presented == token && !strings.HasPrefix(got.Body, test.body) {
					t.Errorf("body %.40q, want %q", got.Body, test.body)
				}
				if strings.Contains(got.Body, token) && test.bad == http.StatusUnauthorized {
					t.Error("the caller's token is seen behind token_auth")
				}
			}
			if n := len(c.idp.Forms()); n != 0 {
				t.Errorf("%d exchanges for requests over the limit, want none", n)
			}
			c.Get("/", token).Expect(t, http.StatusOK)
			c.expectExchanged(t, token)
			if key := c.upstream.Last(t).Header.Get("X-Key"); key == "" {
				t.Error("request_header knows no client")
			}
		})
	}
}

const logAppended = "$SITE {" + ready + `
	handle {
		log
		log_append user {http.auth.user.id}
		log_append client {http.auth.user.client}
		log_append error {http.auth.error}
		log_append sent {http.request.header.Authorization}
		log_append <early {http.request.header.X-Early}
		log_append <nobody {http.auth.user.id}
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`

// log_append fills its fields when the answer is there, and then the caller is
// known and its token is gone; in the early form nobody is known yet.
func TestLogAppend(t *testing.T) {
	t.Parallel()
	sites := strings.Replace(logAppended, "\t\tlog\n", "", 1)
	c := startCompany(t, "", strings.Replace(sites, "$SITE {", "$SITE {\n\tlog", 1))
	token := c.token(nil)
	request := c.Request(http.MethodGet, "/good", token)
	request.Header.Set("X-Early", "yes")
	c.Do(request).Expect(t, http.StatusOK)
	c.Get("/bad", "bad").Expect(t, http.StatusUnauthorized)
	line := func(path string) map[string]any {
		var found map[string]any
		harness.Eventually(t, "the access log tells of "+path, func() bool {
			for _, line := range c.Lines("handled request") {
				if asked, _ := line["request"].(map[string]any); asked["uri"] == path {
					found = line
				}
			}
			return found != nil
		})
		return found
	}
	good, bad := line("/good"), line("/bad")
	if good["user"] != "alice" || good["client"] == "" || good["early"] != "yes" || good["sent"] != "" {
		t.Errorf("of a good request the log says %v", good)
	}
	if nobody, _ := good["nobody"].(string); nobody != "" {
		t.Errorf("before token_auth the log names %q", nobody)
	}
	if user, _ := bad["user"].(string); user != "" || bad["error"] != "invalid_token" {
		t.Errorf("of a refused request the log says %v", bad)
	}
	exchanged := c.upstream.Last(t).Bearer()
	if log := c.Log(); strings.Contains(log, token) || strings.Contains(log, exchanged) {
		t.Error("a token is in the log")
	}
}

const limitedBody = "$SITE {" + ready + `
	handle {
		request_body {
			max_size 10
		}
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`

// A body that request_body cuts off is the caller's fault: an answer of Caddy's,
// and nothing that the exchange is tried once more for.
func TestRequestBody(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", limitedBody)
	token := c.token(nil)
	for body, status := range map[string]int{"short": http.StatusOK, "longer than it may be": http.StatusRequestEntityTooLarge} {
		request := c.Request(http.MethodPost, "/", token)
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		c.Do(request).Expect(t, status)
	}
	request := c.Request(http.MethodPost, "/", "bad")
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader("short")), 5
	problemOf(t, c.Do(request).Expect(t, http.StatusUnauthorized))
	if n := len(c.idp.Forms()); n != 1 {
		t.Errorf("%d exchanges, want one", n)
	}
}
