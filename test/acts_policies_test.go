package test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actStepUp(t *testing.T, s *stage) {
	t.Helper()
	login := func(acr, scope string, age time.Duration) string {
		return s.idp.Token(map[string]any{"acr": acr, "scope": scope, "auth_time": time.Now().Add(-age).Unix()})
	}
	s.Await("/orders/1", login("bronze", "orders:read", time.Hour), http.StatusOK)
	s.Get("/payments/1", login("gold", "payments:write", time.Minute)).Expect(t, http.StatusOK)
	const challenge = `Bearer realm="gatehouse", error="insufficient_user_authentication", ` +
		`error_description="A newer or stronger login is needed.", acr_values="gold", max_age="600"`
	for token, want := range map[string]string{
		login("bronze", "payments:write", time.Minute): challenge,
		login("gold", "payments:write", time.Hour):     challenge,
		login("gold", "orders:read", time.Hour):        challenge + `, scope="payments:write"`,
	} {
		got := s.Get("/payments/1", token).Expect(t, http.StatusUnauthorized)
		if said := got.Header.Get("WWW-Authenticate"); said != want {
			t.Errorf("WWW-Authenticate = %q\nwant %q", said, want)
		}
	}
}

func actPolicies(t *testing.T, s *stage) {
	t.Helper()
	staff := func(more map[string]any) string {
		claims := map[string]any{"groups": []string{"staff"}, "client_id": "backoffice"}
		maps.Copy(claims, more)
		return s.idp.Token(claims)
	}
	s.Await("/", staff(nil), http.StatusOK)
	if got := s.upstream.Last(t).Header.Get("X-Desk"); got != "staff" {
		t.Errorf("X-Desk = %q", got)
	}
	harness.Eventually(t, "what would be refused is in the audit trail", func() bool {
		trail := s.Audit()
		return len(trail) > 0 && trail[len(trail)-1]["msg"] == "shadowed" && trail[len(trail)-1]["rule"] == "max_auth_age 8h"
	})
	s.Get("/", s.idp.Token(map[string]any{"tenant": "acme"})).Expect(t, http.StatusOK)
	if got := s.upstream.Last(t).Header.Get("X-Desk"); got != "acme" {
		t.Errorf("X-Desk = %q", got)
	}
	for _, claims := range []map[string]any{{"tenant": "initech"}, {"groups": "staff", "client_id": "other"}, {"tenant": "acme", "scope": "profile"}} {
		s.Get("/", s.idp.Token(claims)).Expect(t, http.StatusNotFound)
	}
	change := func(token, shift string) harness.Answer {
		request := s.Request(http.MethodPost, "/", token)
		request.Header.Set("X-Shift", shift)
		return s.Do(request)
	}
	change(staff(map[string]any{"shift": "night"}), "night").Expect(t, http.StatusOK)
	change(staff(map[string]any{"scope": "shift:any"}), "").Expect(t, http.StatusOK)
	change(staff(map[string]any{"shift": "night"}), "day").Expect(t, http.StatusForbidden)
	change(staff(map[string]any{"shift": ""}), "").Expect(t, http.StatusForbidden)
}
