package test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actCookie(t *testing.T, s *stage) {
	t.Helper()
	token := s.idp.Token(nil)
	s.Await("/orders/1", token, http.StatusOK)
	ask := func(method, site string) harness.Answer {
		request := s.Request(method, "/orders/1", "")
		request.Header.Set("Cookie", "theme=dark; __Host-session="+token)
		if site != "" {
			request.Header.Set("Sec-Fetch-Site", site)
		}
		return s.Do(request)
	}
	ask(http.MethodGet, "cross-site").Expect(t, http.StatusOK)
	got := s.upstream.Last(t)
	if got.Header.Get("Cookie") != "theme=dark" || got.Holds(token) || harness.Claims(t, got.Bearer())["aud"] != "orders" {
		t.Errorf("the upstream got %v", got.Header)
	}
	ask(http.MethodPost, "same-origin").Expect(t, http.StatusOK)
	ask(http.MethodPost, "cross-site").Expect(t, http.StatusForbidden)
	ask(http.MethodPost, "").Expect(t, http.StatusForbidden)
	both := s.Request(http.MethodGet, "/orders/1", token)
	both.Header.Set("Cookie", "__Host-session="+token)
	s.Do(both).Expect(t, http.StatusBadRequest)
	const challenge = `Bearer realm="the orders", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`
	if got := s.Get("/", "").Expect(t, http.StatusUnauthorized).Header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("WWW-Authenticate = %q", got)
	}
}

func actPublicAndPrivate(t *testing.T, s *stage) {
	t.Helper()
	token := s.idp.Token(nil)
	s.Await("/orders/1", token, http.StatusOK)
	if got := s.upstream.Last(t); harness.Claims(t, got.Bearer())["aud"] != "orders" || got.Holds(token) {
		t.Errorf("the upstream got %v", got.Header)
	}
	s.Get("/catalogue/1", "").Expect(t, http.StatusOK)
	if got := s.upstream.Last(t).Header.Values("X-User"); len(got) != 1 || got[0] != "" {
		t.Errorf("nobody is %q", got)
	}
	s.Get("/catalogue/1", token).Expect(t, http.StatusOK)
	if got := s.upstream.Last(t); got.Header.Get("X-User") != "main/alice" || got.Holds(token) {
		t.Errorf("the caller is %v", got.Header)
	}
	s.Get("/catalogue/1", "nonsense").Expect(t, http.StatusUnauthorized)
	answer := s.Get("/orders/1", "").Expect(t, http.StatusUnauthorized)
	if got := answer.Header.Get("WWW-Authenticate"); got != `Bearer realm="gatehouse"` {
		t.Errorf("WWW-Authenticate = %q", got)
	}
}
