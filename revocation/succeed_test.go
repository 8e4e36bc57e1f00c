package revocation

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
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

// What began under a state that nobody follows any more ends all the same, and is
// counted: two reloads later, when the state in between is gone.
func TestTheFormerHears(t *testing.T) {
	for name, same := range map[string]bool{"one log": true, "another log": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := []store.Log{newEngine(), newEngine(), newEngine()}
				if same {
					logs = []store.Log{logs[0], logs[0], logs[0]}
				}
				old := NewState(logs[0])
				ended := make(chan struct{})
				defer old.Watch(good("alice"), func() { close(ended) })()
				between := NewState(logs[1])
				stop := between.Succeed(old, same)
				latest := NewState(logs[2])
				defer latest.Succeed(between, same)()
				stop() // its configuration has ended as well
				node := followed(t, latest)
				soon(t, "the list is there", latest.Loaded)
				if counted := latest.CountWatched(func(facts *Facts) bool { return facts.Subject == "alice" }); counted != 1 || latest.Status().Watched != 1 {
					t.Errorf("%d streams are counted", counted)
				}
				event := subject("alice")
				event.Until = time.Now().Add(time.Hour)
				mustRevoke(t, node.State, event)
				<-ended
				if old.Revoked(good("alice")) == nil || old.Revoked(good("bob")) != nil {
					t.Errorf("the former knows: %v, %v", old.Revoked(good("alice")), old.Revoked(good("bob")))
				}
				// And the other way round, into the log that is followed now.
				event = subject("bob")
				event.Until = time.Now().Add(time.Hour)
				mustRevoke(t, old, event)
				third := follow(t, logs[2])
				soon(t, "whoever reads the log knows it", func() bool { return reasonFor(third.State, closed, "bob") == token.Revoked })
			})
		})
	}
}
