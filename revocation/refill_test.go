package revocation

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// restarted is a log that was emptied once, and then fails for a while.
type restarted struct {
	store.Log
	fails atomic.Int32
	reset atomic.Bool
}

// Read implements store.Log.
func (l *restarted) Read(ctx context.Context, log store.Purpose, after store.Position, limit int, wait time.Duration) ([]store.Record, store.Position, error) {
	if l.reset.CompareAndSwap(true, false) {
		return nil, after, store.ErrReset
	}
	return l.Log.Read(ctx, log, after, limit, wait)
}

// Append implements store.Log.
func (l *restarted) Append(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	if l.fails.Add(-1) >= 0 {
		return store.ErrUnavailable
	}
	return l.Log.Append(ctx, log, id, data, until)
}

// A log that comes back empty gets all that the node knows, also where writing fails
// at first.
func TestRefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const known = 3 * refillWidth
		state, emptied := NewState(store.NewMemory(0)), &restarted{Log: store.NewMemory(0)}
		for i := range known {
			event := Event{Kind: KindID, Issuer: "https://idp.example", Value: fmt.Sprint(i), Until: time.Now().Add(time.Hour)}
			if _, err := state.Revoke(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		state.log = emptied
		emptied.reset.Store(true)
		emptied.fails.Store(40)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go state.Follow(ctx, slog.New(slog.DiscardHandler))
		<-time.After(10 * time.Second)
		records, _, err := emptied.Log.Read(ctx, logName, "", 2*known, 0)
		if err != nil || len(records) != known {
			t.Errorf("the log has %d records, %v", len(records), err)
		}
		cancel()
		synctest.Wait()
	})
}

// A node that follows a log which answers is never much further behind than one wait,
// however seldom or often something comes in.
func TestContact(t *testing.T) {
	for name, every := range map[string]time.Duration{"seldom": time.Hour, "now and then": 990 * time.Millisecond, "often": 30 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := store.NewMemory(0)
				state, other := NewState(log), NewState(log)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go state.Follow(ctx, slog.New(slog.DiscardHandler))
				synctest.Wait()
				said := time.Now()
				for begin := time.Now(); time.Since(begin) < 20*time.Second; {
					<-time.After(10 * time.Millisecond)
					if time.Since(said) >= every {
						said = time.Now()
						event := Event{Kind: KindID, Issuer: "https://idp.example", Value: said.String(), Until: said.Add(time.Hour)}
						if _, err := other.Revoke(t.Context(), event); err != nil {
							t.Fatal(err)
						}
					}
					if age := time.Since(state.Status().Contact); age > readWait {
						t.Fatalf("the last contact is %v ago", age)
					}
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}
