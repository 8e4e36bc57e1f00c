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
