package revocation

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A state that goes on from another one knows what that knows and hears, at once
// where both have one log, and its own log gets all of it.
func TestSuccession(t *testing.T) {
	for name, same := range map[string]bool{"one log": true, "another log": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := newEngine()
				old := follow(t, first)
				soon(t, "the list is there", old.Loaded)
				event := subject("alice")
				event.Until = time.Now().Add(time.Hour)
				mustRevoke(t, old.State, event)

				second := first
				if !same {
					second = newEngine()
				}
				fresh := NewState(second)
				defer fresh.Succeed(old.State, same)()
				if got := fresh.Loaded(); got != same {
					t.Errorf("loaded: %t", got)
				}
				event = subject("bob")
				event.Until = time.Now().Add(time.Hour)
				mustRevoke(t, old.State, event)
				for _, who := range []string{"alice", "bob"} {
					if reason := reasonFor(fresh, closed, who); reason != token.Revoked {
						t.Errorf("%s: %q", who, reason)
					}
				}
				third := follow(t, second)
				go fresh.Follow(t.Context(), slog.New(slog.DiscardHandler))
				soon(t, "whoever reads the log knows both", func() bool {
					return reasonFor(third.State, closed, "alice") == token.Revoked && reasonFor(third.State, closed, "bob") == token.Revoked
				})
			})
		})
	}
}
