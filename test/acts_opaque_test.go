package test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actOpaque(t *testing.T, s *stage) {
	t.Helper()
	token := s.endpoint.Issue("tok_good", map[string]any{"scope": "orders:read"})
	s.Await("/orders/1", token, http.StatusOK)
	asked := len(s.endpoint.Asked())
	s.Get("/orders/1", token).Expect(t, http.StatusOK)
	if again := len(s.endpoint.Asked()); again != asked {
		t.Errorf("asked %d times more about a token that is known", again-asked)
	}
	if got := s.upstream.Last(t); harness.Claims(t, got.Bearer())["aud"] != "orders" || got.Holds(token) {
		t.Errorf("the upstream got %v", got.Header)
	}
	s.Get("/orders/1", s.endpoint.Issue("tok_weak", map[string]any{"scope": "orders:write"})).Expect(t, http.StatusForbidden)
	s.Get("/orders/1", s.endpoint.Issue("tok_other", map[string]any{"aud": "https://other.example.com"})).Expect(t, http.StatusUnauthorized)
	revoked := s.endpoint.Issue("tok_revoked", nil)
	s.endpoint.Revoke(revoked)
	s.Get("/orders/1", revoked).Expect(t, http.StatusUnauthorized)
	asked = len(s.endpoint.Asked())
	s.Get("/orders/1", s.endpoint.Issue("another_good", nil)).Expect(t, http.StatusUnauthorized)
	if again := len(s.endpoint.Asked()); again != asked {
		t.Error("a token with another prefix was shown to the issuer")
	}
	s.Get("/orders/1", s.idp.Token(map[string]any{"scope": "orders:read"})).Expect(t, http.StatusOK)
}
