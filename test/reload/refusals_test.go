package reload_test

import (
	"net/http"
	"testing"
)

// What a server refused a moment ago, and what it issued, outlive a configuration:
// a reload is no reason to ask again.
func TestRefusalsOutliveAReload(t *testing.T) {
	s := start(t)
	s.idp.AnswerJSON(http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	ended := s.idp.Token(map[string]any{"jti": "ended"})
	s.Get("/orders/1", ended).Expect(t, http.StatusUnauthorized)
	s.expectFetched(t, 1, 2)
	s.idp.Answer(nil)
	for generation := range 3 {
		s.reload(t, configuration{generation: generation + 1, extra: "\t\ttoken_cache 10 1MiB\n"})
		s.Get("/orders/1", ended).Expect(t, http.StatusUnauthorized)
		s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
		s.expectFetched(t, 1, 2)
	}
	// Another token of the same caller is another question.
	s.Get("/orders/1", s.idp.Token(map[string]any{"jti": "anew"})).Expect(t, http.StatusOK)
	s.expectFetched(t, 1, 3)
}
