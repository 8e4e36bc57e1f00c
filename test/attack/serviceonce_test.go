package attack_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Of those who send one assertion at the same time a single one is believed.
func TestAttack19AssertionAtOnceAtService(t *testing.T) {
	const callers = 40
	s := serving(t)
	for range 5 {
		assertion := s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", nil))
		begin, answers := make(chan struct{}), make(chan harness.Answer, callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				<-begin
				answers <- s.asserting(assertion)
			})
		}
		close(begin)
		all.Wait()
		close(answers)
		granted := 0
		for answer := range answers {
			if answer.Status == http.StatusOK {
				granted++
				continue
			}
			s.denied(answer, http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not prove itself.")
		}
		if granted != 1 {
			t.Errorf("of %d uses of one assertion %d were good", callers, granted)
		}
	}
}
