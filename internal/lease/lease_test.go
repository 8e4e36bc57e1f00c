package lease_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/internal/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A state notes how often it was closed.
type state struct{ closed int }

func closeState(s *state) { s.closed++ }

func newState() *state { return new(state) }

func TestStateIsHandedOver(t *testing.T) {
	pool, key := lease.NewPool[*state](), lease.KeyOf("a")
	old := pool.Acquire(key, newState, closeState)
	next := pool.Acquire(key, newState, closeState)
	if old.Value != next.Value {
		t.Fatal("the second configuration began with nothing")
	}
	old.Release()
	if next.Value.closed != 0 {
		t.Fatal("the state was closed while it was in use")
	}
	third := pool.Acquire(key, newState, closeState)
	if third.Value != next.Value {
		t.Error("the state was dropped while it was in use")
	}
	next.Release()
	third.Release()
	if old.Value.closed != 1 {
		t.Errorf("the state was closed %d times, want 1", old.Value.closed)
	}
	if again := pool.Acquire(key, newState, closeState); again.Value == old.Value {
		t.Error("a closed state was handed out")
	}
}

// Cleanup may run twice, and for a configuration that acquired nothing.
func TestReleaseOnce(t *testing.T) {
	pool, key := lease.NewPool[*state](), lease.KeyOf("a")
	running := pool.Acquire(key, newState, closeState)
	rejected := pool.Acquire(key, newState, closeState)
	for range 3 {
		rejected.Release()
	}
	var none *lease.Lease[*state]
	none.Release()
	new(lease.Lease[*state]).Release()
	if running.Value.closed != 0 {
		t.Error("a second release took the hold of another configuration")
	}
}

// What a configuration made in vain is closed at once.
func TestSpareIsClosed(t *testing.T) {
	pool, key := lease.NewPool[*state](), lease.KeyOf("a")
	first := pool.Acquire(key, newState, closeState)
	spare := newState()
	second := pool.Acquire(key, func() *state { return spare }, closeState)
	if second.Value != first.Value || spare.closed != 1 {
		t.Errorf("the spare state was closed %d times, want 1", spare.closed)
	}
}

func TestWithoutClose(t *testing.T) {
	pool := lease.NewPool[*state]()
	held := pool.Acquire(lease.KeyOf("a"), newState, nil)
	held.Release()
	if held.Value.closed != 0 {
		t.Error("somebody closed it")
	}
}

func TestConfigurationsComeAndGo(t *testing.T) {
	pool, key := lease.NewPool[*state](), lease.KeyOf("a")
	base := pool.Acquire(key, newState, closeState)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			held := pool.Acquire(key, newState, closeState)
			if held.Value != base.Value {
				t.Error("another state under the same key")
			}
			held.Release()
		})
	}
	all.Wait()
	if base.Value.closed != 0 {
		t.Error("closed while it was in use")
	}
}

func TestPoolsAreApart(t *testing.T) {
	key := lease.KeyOf("a")
	one, two := lease.NewPool[*state](), lease.NewPool[*state]()
	if one.Acquire(key, newState, closeState).Value == two.Acquire(key, newState, closeState).Value {
		t.Error("two pools share a state")
	}
}

func TestKeyOf(t *testing.T) {
	lists := [][]string{nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {"a", "", "b"}, {"a\x00b"}}
	seen := make(map[lease.Key][]string)
	for _, parts := range lists {
		key := lease.KeyOf(parts...)
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q make the same key", parts, other)
		}
		seen[key] = parts
		if key != lease.KeyOf(parts...) {
			t.Errorf("%q makes two keys", parts)
		}
	}
}
