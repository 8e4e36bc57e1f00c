package integration_test

import (
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A script is a FastCGI server on loopback, as PHP has one. It remembers the
// variables of each request.
type script struct {
	address string

	mu     sync.Mutex
	got    []map[string]string
	refuse int // how many of the next requests get 401
}

func newScript(t *testing.T) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{address: listener.Addr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fcgi.Serve(listener, s) // until it is closed
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Go's package makes headers of the variables HTTP_* and a URL of
	// REQUEST_URI, and keeps the others.
	got := fcgi.ProcessEnv(r)
	got["REQUEST_URI"] = r.URL.RequestURI()
	for name, values := range r.Header {
		got["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = strings.Join(values, ", ")
	}
	s.mu.Lock()
	s.got = append(s.got, got)
	refused := s.refuse > 0
	s.refuse--
	s.mu.Unlock()
	if refused {
		w.Header().Set("WWW-Authenticate", "Bearer canary")
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *script) last(t *testing.T) map[string]string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) == 0 {
		t.Fatal("nothing reached the FastCGI server")
	}
	return s.got[len(s.got)-1]
}

const fastCGI = "$SITE {" + ready + `
	handle_path /plain/* {
		token_auth
		root * $DIR
		php_fastcgi $FCGI
	}
	handle_path /injected/* {
		token_auth
		token_exchange {
			client gateway
			audience orders
			inject X-Upstream-Token
		}
		root * $DIR
		php_fastcgi $FCGI
	}
	handle_path /password/* {
		root * $DIR
		route {
			basic_auth {
				bob $HASH
			}
			request_header -Authorization
			token_auth {
				from header X-Access-Token
			}
			php_fastcgi $FCGI
		}
	}
	handle {
		token_auth
		token_exchange orders
		root * $DIR
		php_fastcgi $FCGI
	}
}
`

func startFastCGI(t *testing.T) (company, *script) {
	t.Helper()
	s, folder := newScript(t), t.TempDir()
	write(t, folder+"/index.php", []byte("<?php"))
	return startCompany(t, "", fastCGI, "$FCGI", s.address, "$DIR", folder, "$HASH", passwordHash), s
}

// PHP gets the exchanged token and the caller's name, and no other spelling of
// either: for CGI all of X-Token, X_Token and X.Token are HTTP_X_TOKEN.
func TestFastCGI(t *testing.T) {
	t.Parallel()
	c, s := startFastCGI(t)
	token := c.token(nil)
	request := c.Request(http.MethodGet, "/orders/1?a=1", token)
	request.Header["Remote-User"] = []string{"mallory"}
	request.Header["Remote_User"] = []string{"mallory"}
	c.Do(request).Expect(t, http.StatusOK)
	got := s.last(t)
	exchanged, ok := strings.CutPrefix(got["HTTP_AUTHORIZATION"], "Bearer ")
	if !ok || harness.Claims(t, exchanged)["aud"] != "orders" {
		t.Errorf("HTTP_AUTHORIZATION is %.40q", got["HTTP_AUTHORIZATION"])
	}
	if got["REMOTE_USER"] != "alice" {
		t.Errorf("REMOTE_USER is %q", got["REMOTE_USER"])
	}
	for name, value := range got {
		if strings.Contains(value, token) || name != "HTTP_AUTHORIZATION" && strings.Contains(value, exchanged) {
			t.Errorf("%s holds a token", name)
		}
	}

	request = c.Request(http.MethodGet, "/injected/1", token)
	for _, name := range []string{"X_upstream_token", "X.Upstream.Token", "X-Upstream-Token"} {
		request.Header[name] = []string{"canary-forged"}
	}
	c.Do(request).Expect(t, http.StatusOK)
	got = s.last(t)
	if got["HTTP_AUTHORIZATION"] != "" || harness.Claims(t, got["HTTP_X_UPSTREAM_TOKEN"])["aud"] != "orders" {
		t.Errorf("with inject PHP got %q", got)
	}

	c.Get("/plain/1", token).Expect(t, http.StatusOK)
	if got = s.last(t); got["HTTP_AUTHORIZATION"] != "" || got["REMOTE_USER"] != "alice" {
		t.Errorf("without token_exchange PHP got %q", got)
	}
	c.Get("/plain/1", "bad").Expect(t, http.StatusUnauthorized)
}

// REMOTE_USER is the token's subject, also where a password was asked for before.
func TestFastCGIRemoteUser(t *testing.T) {
	t.Parallel()
	c, s := startFastCGI(t)
	request := basic(c.Request(http.MethodGet, "/password/1", ""), bobsPassword)
	request.Header.Set("X-Access-Token", c.token(nil))
	c.Do(request).Expect(t, http.StatusOK)
	if got := s.last(t); got["REMOTE_USER"] != "alice" || got["HTTP_AUTHORIZATION"] != "" || got["HTTP_X_ACCESS_TOKEN"] != "" {
		t.Errorf("PHP got %q", got)
	}
}

// A 401 of PHP's is about the exchanged token, as one of any upstream is.
func TestFastCGIRefusesTheToken(t *testing.T) {
	t.Parallel()
	c, s := startFastCGI(t)
	s.refuse = 1
	got := c.Get("/orders/1", c.token(nil)).Expect(t, http.StatusOK)
	expectHeader(t, got, "WWW-Authenticate")
	s.mu.Lock()
	if len(s.got) != 2 || s.got[0]["DOCUMENT_URI"] != s.got[1]["DOCUMENT_URI"] || s.got[1]["REQUEST_URI"] != "/orders/1" {
		t.Errorf("PHP was asked for %v", s.got)
	}
	s.refuse = 10
	s.mu.Unlock()
	got = c.Get("/orders/1", c.token(map[string]any{"jti": "other"})).Expect(t, http.StatusBadGateway)
	expectHeader(t, got, "WWW-Authenticate")
}
