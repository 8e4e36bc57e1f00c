package test

import (
	"net/http"
	"testing"
)

func actLimits(t *testing.T, s *stage) {
	t.Helper()
	s.Await("/", s.idp.Token(map[string]any{"sub": "first"}), http.StatusOK)
	passes := func(path string, claims map[string]any) int {
		for n := range 101 {
			answer := s.Get(path, s.idp.Token(claims))
			if answer.Status == http.StatusTooManyRequests {
				if answer.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				return n
			}
			answer.Expect(t, http.StatusOK)
		}
		return -1
	}
	// Ten, and those that came back while the test ran: one every six seconds.
	if n := passes("/", map[string]any{"sub": "tries", "plan": "trial"}); n < 10 || n > 15 {
		t.Errorf("%d requests of a trial pass, want 10", n)
	}
	if n := passes("/reports/1", map[string]any{"sub": "one", "tenant": "acme"}); n != 5 {
		t.Errorf("%d reports of a tenant pass, want 5", n)
	}
	if n := passes("/reports/1", map[string]any{"sub": "two", "tenant": "acme"}); n != 0 {
		t.Errorf("%d reports of its other caller pass, want none", n)
	}
	got := s.Get("/", s.idp.Token(map[string]any{"sub": "pays", "plan": []string{"old", "pro"}})).Expect(t, http.StatusOK)
	want := []string{`"default";q=600;w=60`, `"default-2";q=1000;w=60`}
	if policies := got.Header.Values("Ratelimit-Policy"); len(policies) != 2 || policies[0] != want[0] || policies[1] != want[1] {
		t.Errorf("RateLimit-Policy: %q, want %q", policies, want)
	}
}
