package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// One client asks for references without end, with the longest tokens behind them
// that it can have. It is refused itself, and nobody else is.
func TestAttack24ReferencesWithoutEnd(t *testing.T) {
	s := serving(t)
	about := func(reference string) any {
		return s.gateway.Post("/oauth2/introspect", harness.ServiceForm("phantom", "token", reference)).Members()["active"]
	}
	others := s.granted(s.exchange("phantom", s.subject(map[string]any{"aud": "phantom"})))
	long := s.subject(map[string]any{"aud": "greedy", "sub": strings.Repeat("s", 4000)})
	got := 0
	for s.exchange("greedy", long).Status == http.StatusOK {
		got++
		if got > 10_000 {
			t.Fatal("there is no end")
		}
	}
	if got < 1000 {
		t.Errorf("an honest client would have had %d only", got)
	}
	refused := s.exchange("greedy", long)
	s.denied(refused, http.StatusTooManyRequests, "temporarily_unavailable", "There are too many requests at the moment.")
	if refused.Header.Get("Retry-After") == "" {
		t.Error("the refusal does not say when to come back")
	}
	for range 20 {
		s.granted(s.exchange("phantom", s.subject(map[string]any{"aud": "phantom"})))
	}
	s.granted(s.exchange("orders", s.subject(nil)))
	if about(others) != true {
		t.Error("another client's reference is gone")
	}
}
