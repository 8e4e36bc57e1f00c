package revocation

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := NewState(store.NewMemory(0))
		var ended, others atomic.Int64
		stop := state.Watch(good("alice"), func() { ended.Add(1) })
		stopBob := state.Watch(good("bob"), func() { others.Add(1) })
		stopGone := state.Watch(good("alice"), func() { others.Add(1) })
		stopGone()
		event := subject("alice")
		event.Until = time.Now().Add(time.Hour)
		for range 3 {
			mustRevoke(t, state, event)
		}
		synctest.Wait()
		if ended.Load() != 1 || others.Load() != 0 {
			t.Errorf("ended %d times, others %d", ended.Load(), others.Load())
		}
		// What begins too late ends as well.
		stopLate := state.Watch(good("alice"), func() { ended.Add(1) })
		synctest.Wait()
		if ended.Load() != 2 {
			t.Errorf("a stream of a revoked token goes on: %d", ended.Load())
		}
		if got := state.Status().Watched; got != 3 {
			t.Errorf("%d are watched", got)
		}
		for _, each := range []func(){stop, stopBob, stopLate, stopLate} {
			each()
		}
		if got := state.Status().Watched; got != 0 {
			t.Errorf("%d are left", got)
		}
	})
}

// No stream slips through between its check and its watch: whichever comes first,
// the other one sees it.
func TestWatchMeetsRevocation(t *testing.T) {
	for range 200 {
		state := NewState(store.NewMemory(0))
		ended := make(chan struct{})
		go func() { _, _ = state.Revoke(t.Context(), subject("alice")) }()
		stop := state.Watch(good("alice"), func() { close(ended) })
		select {
		case <-ended:
		case <-t.Context().Done():
			t.Fatal("it goes on")
		}
		stop()
	}
}
