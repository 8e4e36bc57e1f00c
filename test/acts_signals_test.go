package test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actLogout(t *testing.T, s *stage) {
	t.Helper()
	laptop, phone := s.idp.Token(map[string]any{"sid": "laptop"}), s.idp.Token(map[string]any{"sid": "phone"})
	s.Await("/", laptop, http.StatusOK)
	s.Logout(s.idp.LogoutToken(map[string]any{"sid": "laptop"})).Expect(t, http.StatusOK)
	s.Get("/", laptop).Expect(t, http.StatusUnauthorized)
	s.Get("/", phone).Expect(t, http.StatusOK)
	s.Logout(phone).Expect(t, http.StatusBadRequest)
}

func actSharedSignals(t *testing.T, s *stage) {
	t.Helper()
	alice, bob := s.idp.Token(nil), s.idp.Token(map[string]any{"sub": "bob"})
	s.Await("/", alice, http.StatusOK)
	push := func(changes map[string]any) int {
		changes["aud"] = "https://api.example.com/signals"
		return s.Push(s.idp.Key.Sign(map[string]any{"typ": "secevent+jwt"}, s.idp.SETClaims(changes))).Status
	}
	harness.Eventually(t, "the stream is verified", func() bool {
		return push(map[string]any{"events": map[string]any{harness.EventVerification: map[string]any{"state": "s"}}}) == http.StatusAccepted
	})
	disabled := map[string]any{"https://schemas.openid.net/secevent/risc/event-type/account-disabled": map[string]any{"reason": "hijacking"}}
	if status := push(map[string]any{"events": disabled}); status != http.StatusAccepted {
		t.Errorf("status %d", status)
	}
	s.Get("/", alice).Expect(t, http.StatusUnauthorized)
	s.Get("/", bob).Expect(t, http.StatusOK)
}

func actStatusList(t *testing.T, s *stage) {
	t.Helper()
	own, cdn := s.idp.Lists("/statuslists/1"), s.other.Lists("/main/1")
	own.Set(2, 1)
	cdn.Serve(s.idp.Key.Sign(tokentest.StatusListHeader(), cdn.Claims()))
	s.Await("/", own.Token(1, nil), http.StatusOK)
	s.Get("/", own.Token(2, nil)).Expect(t, http.StatusUnauthorized)
	s.Get("/", s.idp.Token(nil)).Expect(t, http.StatusOK)
	of := func(list *harness.StatusList) string {
		return s.idp.Token(map[string]any{"status": tokentest.Status(list.URI, 1)})
	}
	s.Get("/", of(cdn)).Expect(t, http.StatusOK)
	elsewhere := s.other.Lists("/other/1")
	s.Get("/", of(elsewhere)).Expect(t, http.StatusUnauthorized)
	if elsewhere.Hits() != 0 {
		t.Error("a list was fetched from elsewhere")
	}
}
