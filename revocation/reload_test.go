package revocation

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A new configuration follows on where the old one was, and nothing is told twice.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		state := NewState(e)
		var told atomic.Int64
		state.Subscribe(func(batch *Batch) { told.Add(int64(len(batch.Events))) })
		run := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				state.Follow(ctx, slog.New(slog.DiscardHandler))
			}()
			return func() {
				cancel()
				<-done
			}
		}
		stop := run()
		soon(t, "loaded", state.Loaded)
		other := NewState(e)
		for i := range 20 {
			event := subject(fmt.Sprint("user-", i))
			event.Until = time.Now().Add(time.Hour)
			mustRevoke(t, other, event)
			next := run()
			if err := state.Load(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
			stop()
			stop = next
			if reason := reasonFor(state, Bound{MaxStaleness: 2 * readWait}, "nobody"); reason != "" {
				t.Errorf("in between: %q", reason)
			}
		}
		soon(t, "all came in", func() bool { return state.List().Len() == 20 })
		if told.Load() != 20 {
			t.Errorf("told %d events", told.Load())
		}
		stop()
	})
}

func TestLoad(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	shared := store.NewMemory(0)
	mustRevoke(t, NewState(shared), subject("alice"))
	state := NewState(shared)
	if err := state.Load(t.Context(), log); err != nil || !state.Loaded() || state.List().Len() != 1 {
		t.Errorf("%v, %+v", err, state.Status())
	}
	broken := newEngine()
	broken.broken = store.ErrUnavailable
	if state := NewState(broken); state.Load(t.Context(), log) == nil || state.Loaded() {
		t.Error("a store that fails was read")
	}
}

// Everything at once, for the race detector.
func TestTogether(t *testing.T) {
	shared := store.NewMemory(0)
	states := []*State{NewState(shared), NewState(shared)}
	ctx, cancel := context.WithCancel(t.Context())
	var followers, workers sync.WaitGroup
	for _, state := range states {
		followers.Go(func() { state.Follow(ctx, slog.New(slog.DiscardHandler)) })
		followers.Go(func() {
			for ctx.Err() == nil {
				state.list.sweep(time.Now())
				state.Status()
			}
		})
	}
	const each = 300
	var ended atomic.Int64
	for i, state := range states {
		workers.Go(func() {
			for n := range each {
				name := fmt.Sprintf("user-%d-%d", i, n)
				state.Watch(good(name), func() { ended.Add(1) })
				event := subject(name)
				if n%2 == 0 { // ends while it goes on
					event.Until = time.Now().Add(time.Second)
				}
				if _, err := state.Revoke(ctx, event); err != nil {
					t.Error(err)
				}
				if n%2 == 1 && reasonFor(state, closed, name) != token.Revoked {
					t.Errorf("%s passes on the node that revoked it", name)
				}
			}
		})
		workers.Go(func() {
			for range 10 * each {
				if reason := reasonFor(state, Bound{Open: true}, "nobody"); reason != "" && reason != token.RevocationsUnknown {
					t.Errorf("somebody else: %q", reason)
				}
			}
		})
	}
	workers.Wait()
	for ended.Load() < 2*each {
		select {
		case <-t.Context().Done():
			t.Fatalf("%d of %d streams ended", ended.Load(), 2*each)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	followers.Wait()
}
