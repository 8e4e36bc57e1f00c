package flight

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// after is work that takes a second and is given up with its context.
func after(value int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(time.Second):
			return value, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// instead is a successor that waits for what was before it, and adds ten to it.
func instead(name string) Successor[string, int] {
	return Successor[string, int]{Name: name, Begin: func() {}, Work: func(ctx context.Context, before func() (int, error)) (int, error) {
		if before == nil {
			return after(10)(ctx)
		}
		value, err := before()
		return value + 10, err
	}}
}

// Nobody boards between the withdrawal and the beginning of the flight.
func TestInsteadHasNoWindow(t *testing.T) {
	var board Board[string, int]
	var waiters sync.WaitGroup
	next := instead("next")
	next.Begin = func() {
		for range 10 {
			waiters.Go(func() {
				value, err := board.Do(t.Context(), "k", time.Minute, func(context.Context) (int, error) { return 1, nil })
				if value != 10 || err != nil {
					t.Errorf("%d, %v", value, err)
				}
			})
		}
		<-time.After(20 * time.Millisecond)
	}
	if value, err := board.Instead(t.Context(), "k", time.Minute, next); value != 10 || err != nil {
		t.Errorf("%d, %v", value, err)
	}
	waiters.Wait()
}

// Whoever waits already gets what it waits for, whoever comes boards the successor, and
// the one who began that may leave.
func TestInsteadOfWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		var waiters sync.WaitGroup
		expect := func(want int, wait func() (int, error)) {
			waiters.Go(func() {
				if value, err := wait(); value != want || err != nil {
					t.Errorf("%d, %v, want %d", value, err, want)
				}
			})
			synctest.Wait()
		}
		expect(1, func() (int, error) { return board.Do(t.Context(), "k", time.Minute, after(1)) })
		leader, leave := context.WithCancel(t.Context())
		waiters.Go(func() {
			if _, err := board.Instead(leader, "k", time.Minute, instead("a")); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader: %v", err)
			}
		})
		synctest.Wait()
		expect(11, func() (int, error) { return board.Do(t.Context(), "k", time.Minute, after(2)) })
		expect(11, func() (int, error) { return board.Instead(t.Context(), "k", time.Minute, instead("a")) })
		expect(21, func() (int, error) { return board.Instead(t.Context(), "k", time.Minute, instead("b")) })
		leave()
		waiters.Wait()
		if len(board.running) != 0 {
			t.Errorf("%d still running", len(board.running))
		}
	})
}

// A successor is a waiter like others: what it waits for goes on while there is one,
// and ends with the last.
func TestInsteadLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		var ended atomic.Bool
		var waiters sync.WaitGroup
		for _, limit := range []time.Duration{time.Second, 2 * time.Second} {
			waiters.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				var err error
				if limit == time.Second {
					_, err = board.Do(ctx, "k", time.Minute, func(ctx context.Context) (int, error) {
						<-ctx.Done()
						ended.Store(true)
						return 0, ctx.Err()
					})
				} else {
					_, err = board.Instead(ctx, "k", time.Minute, instead("a"))
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		<-time.After(1500 * time.Millisecond)
		if ended.Load() {
			t.Error("it ended while the successor waited for it")
		}
		waiters.Wait()
		synctest.Wait()
		if !ended.Load() || len(board.running) != 0 {
			t.Errorf("ended: %v, %d still running", ended.Load(), len(board.running))
		}
	})
}

// What a successor withdrew is not kept by those who were under way, however many took
// each other's place; but by the successor itself.
func TestUnless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		var kept []string
		keep := func(ctx context.Context, who string) {
			for _, name := range []string{"a", "b", "c"} {
				board.Unless(ctx, name, func() { kept = append(kept, who+name) })
			}
		}
		var waiters sync.WaitGroup
		waiters.Go(func() {
			_, _ = board.Do(t.Context(), "k", time.Minute, func(ctx context.Context) (int, error) {
				_, err := after(1)(ctx)
				keep(ctx, "first ")
				return 1, err
			})
		})
		synctest.Wait()
		for _, name := range []string{"a", "b"} {
			next := instead(name)
			next.Work = func(ctx context.Context, before func() (int, error)) (int, error) {
				value, err := before()
				keep(ctx, name+" ")
				return value, err
			}
			waiters.Go(func() { _, _ = board.Instead(t.Context(), "k", time.Minute, next) })
			synctest.Wait()
		}
		waiters.Wait()
		want := []string{"first c", "a a", "a c", "b a", "b b", "b c"}
		if len(kept) != len(want) {
			t.Fatalf("kept %q, want %q", kept, want)
		}
		for i := range want {
			if kept[i] != want[i] {
				t.Errorf("kept %q, want %q", kept, want)
			}
		}
	})
}
