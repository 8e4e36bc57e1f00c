package statuslist_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.takes = time.Second
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { r.check(t, 0, nil) })
		}
		group.Wait()
		r.check(t, 1, token.StatusInvalid)
		r.check(t, 15, nil)
		r.check(t, 16, token.WrongStatusList)
		r.check(t, 1<<63-1, token.WrongStatusList)
		if n := r.fetches(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

// Nothing is fetched from elsewhere, however often it is named.
func TestElsewhere(t *testing.T) {
	r := newRig(t)
	for _, uri := range []string{"https://evil.example/1", "https://idp.example.com@evil.example/1", "http://idp.example.com/1", ""} {
		r.checkAt(t, uri, 0, token.WrongStatusList)
	}
	if n := r.fetches(); n != 0 {
		t.Errorf("%d fetches, want none", n)
	}
}

// Who waits for a list does so for two seconds; what comes later is there for others.
func TestSlowList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.takes = 4 * time.Second
		began := time.Now()
		r.check(t, 0, token.StatusUnknown)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("waited %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Check(ctx, token.Status{URI: listURL}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that left got %v", err)
		}
		elapse(2 * time.Second)
		r.check(t, 0, nil)
		if n := r.fetches(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestRenewal(t *testing.T) {
	tests := map[string]struct {
		changes map[string]any
		life    time.Duration // of the server
		after   time.Duration // to the next fetch
	}{
		"ttl":               {map[string]any{"ttl": 60}, time.Minute * 10, 48 * time.Second},
		"a short ttl":       {map[string]any{"ttl": 0.001}, 0, 4 * time.Second},
		"a long ttl":        {map[string]any{"ttl": 1e10, "exp": nil}, 0, 48 * time.Minute},
		"Cache-Control":     {map[string]any{"ttl": nil}, 100 * time.Second, 80 * time.Second},
		"no-store":          {map[string]any{"ttl": nil}, time.Second, 4 * time.Second},
		"nothing":           {map[string]any{"ttl": nil, "exp": nil}, 0, 4 * time.Minute},
		"exp before ttl":    {map[string]any{"ttl": 600, "exp": 946684800 + 100}, 0, 80 * time.Second},
		"exp has just gone": {map[string]any{"ttl": 600, "exp": 946684800 - 10}, 0, 4 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.changes, r.life = test.changes, test.life
				defer r.run()()
				r.check(t, 0, nil)
				elapse(test.after - 2*time.Second)
				r.check(t, 0, nil)
				if n := r.fetches(); n != 1 {
					t.Fatalf("%d fetches too early", n)
				}
				elapse(3 * time.Second)
				r.check(t, 0, nil)
				if n := r.fetches(); n != 2 {
					t.Errorf("%d fetches, want 2", n)
				}
			})
		})
	}
}

// What is revoked is refused once the list says so, and nobody waits for that.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.run()()
		r.check(t, 0, nil)
		r.change(func(r *rig) { r.packed, r.takes = []byte{1, 0}, time.Second })
		elapse(48 * time.Second)
		began := time.Now()
		r.check(t, 0, nil)
		if time.Since(began) != 0 {
			t.Error("a request waited for a renewal")
		}
		elapse(3 * time.Second)
		r.check(t, 0, token.StatusInvalid)
	})
}

// While no other one can be had a list serves until its own end, and not beyond.
func TestOutage(t *testing.T) {
	tests := map[string]struct {
		changes map[string]any
		until   time.Duration
	}{
		"exp":          {map[string]any{"exp": 946684800 + 600}, 630 * time.Second},
		"exp too late": {map[string]any{"exp": 253402300799}, 24 * time.Hour},
		"no exp":       {map[string]any{"exp": nil}, time.Hour + time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.changes = test.changes
				defer r.run()()
				r.check(t, 0, nil)
				r.change(func(r *rig) { r.err = errDown })
				for range int(test.until/time.Minute) - 1 {
					elapse(time.Minute)
					r.check(t, 0, nil)
				}
				_, _, stale := r.Sums()
				if info := r.Snapshot()[0]; stale != 1 || !info.Stale || info.LastError != errDown.Error() {
					t.Errorf("%d are stale; %+v", stale, info)
				}
				elapse(2 * time.Minute)
				r.check(t, 0, token.StatusUnknown)
				r.change(func(r *rig) { r.err, r.changes = nil, nil })
				elapse(20 * time.Second)
				r.check(t, 0, nil)
			})
		})
	}
}

// A list that cannot be had is asked for ever more rarely, whoever asks.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.err = errDown
		for range 600 {
			r.check(t, 0, token.StatusUnknown)
			elapse(100 * time.Millisecond)
		}
		if n := r.fetches(); n < 5 || n > 14 {
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

// Whoever holds many tokens does not make the gateway call around, and delays nobody
// whose list is there.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.check(t, 0, nil)
		for i := range 1000 {
			_ = r.Check(t.Context(), token.Status{URI: fmt.Sprintf("%s/%d", issuerURL, i)})
		}
		if n := r.fetches(); n != 16 {
			t.Errorf("%d fetches for 1000 lists, want a burst of 16", n)
		}
		if r.seen()[statuslist.OutcomeRefused] != 985 {
			t.Errorf("outcomes %v", r.seen())
		}
		for i := range 100 {
			elapse(time.Second)
			r.check(t, 0, nil)
			_ = r.Check(t.Context(), token.Status{URI: fmt.Sprintf("%s/new/%d", issuerURL, i)})
		}
		if n := len(r.Snapshot()); n != 64 {
			t.Errorf("%d lists are kept, want 64", n)
		}
		before := r.fetches()
		r.check(t, 0, nil)
		if r.fetches() != before {
			t.Error("a list that is used all the time was forgotten")
		}
	})
}

func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.state.Hold(64 << 10)
		keepsInside(t, r, 10<<10)
	})
}

// keepsInside holds lists to the bound that all of them have together: of ten such lists
// there is room for six, and those that were asked for longest ago go.
func keepsInside(t *testing.T, r *rig, each int) {
	t.Helper()
	r.packed = make([]byte, each)
	for i := range 10 {
		r.checkAt(t, fmt.Sprintf("%s/%d", issuerURL, i), 0, nil)
		elapse(2 * time.Second)
	}
	lists, bytes, _ := r.Sums()
	if lists != 6 || bytes != 6*each || r.Oldest() != 12*time.Second {
		t.Errorf("%d lists, %d bytes", lists, bytes)
	}
}

func TestIdleLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.run()()
		r.check(t, 0, nil)
		elapse(12 * time.Minute)
		if left, n := r.Snapshot(), r.fetches(); len(left) != 0 || n > 14 {
			t.Errorf("%d lists are kept that nobody uses, after %d fetches", len(left), n)
		}
	})
}

// A list is no better than the key that signed it.
func TestDroppedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.check(t, 0, nil)
		elapse(2 * time.Second)
		old, renewed := r.key, tokentest.NewKey(t, "ES256", "k2")
		r.trust(t, renewed)
		r.check(t, 0, token.StatusUnknown)
		elapse(5 * time.Second)
		r.change(func(r *rig) { r.key = renewed })
		r.check(t, 0, nil)
		elapse(2 * time.Second)
		r.trust(t, old, renewed)
		r.check(t, 0, nil)
	})
}

// An older list that is played again takes nothing back.
func TestOlderList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		elapse(time.Minute)
		old := r.signed(listURL)
		elapse(time.Minute)
		r.packed = []byte{1, 0}
		defer r.run()()
		r.check(t, 0, token.StatusInvalid)
		r.change(func(r *rig) { r.text = func(string) string { return old } })
		for range 5 {
			elapse(time.Minute)
			r.check(t, 0, token.StatusInvalid)
		}
		if r.fetches() < 2 || r.seen()[statuslist.OutcomeInvalid] == 0 {
			t.Errorf("%v of %d", r.seen(), r.fetches())
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.run()()
		r.check(t, 0, nil)
		ended := make(chan uint64, 10)
		watch := func(index uint64) (stop func()) {
			return r.Watch(token.Status{URI: listURL, Index: index}, func() { ended <- index })
		}
		defer watch(0)()
		left := watch(2)
		defer watch(3)()
		watch(1)() // which is no longer good as it begins
		if index := <-ended; index != 1 {
			t.Fatalf("%d ended", index)
		}
		left()
		elapse(time.Hour) // nobody asks, and the list is fetched all the same
		if info := r.Snapshot()[0]; info.Streams != 2 {
			t.Errorf("%+v", info)
		}
		r.change(func(r *rig) { r.packed = []byte{0b101, 0} })
		elapse(time.Minute)
		if index := <-ended; index != 0 || len(ended) != 0 {
			t.Errorf("%d ended, and %d more", index, len(ended))
		}
	})
}

// A list that was forgotten for want of room comes again for whom it is still needed.
func TestWatchOutlivesEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.state.Hold(64 << 10)
		r.packed = make([]byte, 16<<10)
		defer r.run()()
		r.check(t, 0, nil)
		ended := make(chan struct{})
		defer r.Watch(token.Status{URI: listURL}, func() { close(ended) })()
		for i := range 6 {
			r.checkAt(t, fmt.Sprintf("%s/%d", issuerURL, i), 0, nil)
			elapse(2 * time.Second)
		}
		r.change(func(r *rig) { r.packed = []byte{1} })
		elapse(2 * time.Minute)
		<-ended
	})
}
