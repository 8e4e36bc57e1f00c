package flight

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errWork = errors.New("work failed")

// Fifty wait, the one who came first leaves: nobody else notices.
func TestFlightOutlivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		var calls atomic.Int32
		work := func(ctx context.Context) (int, error) {
			calls.Add(1)
			select {
			case <-time.After(time.Second):
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		leader, leave := context.WithCancel(t.Context())
		led := make(chan error, 1)
		go func() {
			_, err := board.Do(leader, "k", time.Minute, work)
			led <- err
		}()
		synctest.Wait()
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				if value, err := board.Do(t.Context(), "k", time.Minute, work); value != 7 || err != nil {
					t.Errorf("%d, %v", value, err)
				}
			})
		}
		synctest.Wait()
		leave()
		if err := <-led; !errors.Is(err, context.Canceled) {
			t.Errorf("the leader: %v", err)
		}
		waiters.Wait()
		if calls.Load() != 1 || len(board.running) != 0 {
			t.Errorf("%d calls, %d still running", calls.Load(), len(board.running))
		}
	})
}

// When the last one leaves the work ends, and whoever comes next starts anew.
func TestFlightEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		ended := make(chan struct{})
		stubborn := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			<-time.After(time.Second) // fake time: work that is slow to notice
			close(ended)
			return 0, ctx.Err()
		}
		var waiters sync.WaitGroup
		for i := range 3 {
			waiters.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := board.Do(ctx, "k", time.Hour, stubborn); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiter %d: %v", i, err)
				}
			})
		}
		begin := time.Now()
		waiters.Wait()
		value, err := board.Do(t.Context(), "k", time.Hour, func(context.Context) (int, error) { return 1, nil })
		if value != 1 || err != nil {
			t.Errorf("the next one boarded what was given up: %d, %v", value, err)
		}
		<-ended
		if passed := time.Since(begin); passed != 4*time.Second {
			t.Errorf("ended after %v of fake time", passed)
		}
	})
}

// All who wait share a failure; none of them tries again in turn.
func TestFlightSharesFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		var calls atomic.Int32
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				_, err := board.Do(t.Context(), "k", time.Minute, func(context.Context) (int, error) {
					calls.Add(1)
					<-time.After(time.Second)
					return 0, errWork
				})
				if !errors.Is(err, errWork) {
					t.Errorf("%v", err)
				}
			})
		}
		waiters.Wait()
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// The work has a deadline of its own and none of the leader's values.
func TestFlightHasItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var board Board[string, int]
		ctx := context.WithValue(t.Context(), key{}, "of the leader")
		_, err := board.Do(ctx, "k", 3*time.Second, func(ctx context.Context) (int, error) {
			if ctx.Value(key{}) != nil {
				t.Error("the leader's values are kept")
			}
			begin := time.Now()
			<-ctx.Done()
			if time.Since(begin) != 3*time.Second {
				t.Errorf("a deadline after %v", time.Since(begin))
			}
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A caller that is gone already starts nothing.
func TestFlightNeedsAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[string, int]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			_, err := board.Do(ctx, "k", time.Minute, func(context.Context) (int, error) {
				t.Error("the work was started")
				return 0, nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		synctest.Wait()
	})
}

func TestFlightsByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board Board[int, int]
		var waiters sync.WaitGroup
		for i := range 10 {
			waiters.Go(func() {
				value, _ := board.Do(t.Context(), i, time.Minute, func(context.Context) (int, error) {
					<-time.After(time.Second)
					return i, nil
				})
				if value != i {
					t.Errorf("%d got %d", i, value)
				}
			})
		}
		waiters.Wait()
	})
}

// Work that panics or ends its goroutine fails its waiters, not the server.
func TestFlightSurvivesItsWork(t *testing.T) {
	for name, test := range map[string]struct {
		work func()
		want string
	}{
		"panic":       {func() { panic("CANARY") }, "panic: string"},
		"index":       {func() { _ = []int{}[len(os.Args)] }, "index out of range"},
		"ends itself": {runtime.Goexit, "without a result"},
	} {
		t.Run(name, func(t *testing.T) {
			var board Board[string, int]
			_, err := board.Do(t.Context(), "k", time.Minute, func(context.Context) (int, error) {
				test.work()
				return 1, nil
			})
			if !errors.Is(err, Err) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%v", err)
			}
			if value, err := board.Do(t.Context(), "k", time.Minute, func(context.Context) (int, error) { return 2, nil }); value != 2 {
				t.Errorf("afterwards: %d, %v", value, err)
			}
		})
	}
}
