package test

import (
	"net/http"
	"testing"

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
