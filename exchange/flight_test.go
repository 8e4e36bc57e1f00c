package exchange

import (
	"context"
	"errors"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

var errWork = errors.New("work failed")

// Fifty wait, the one who came first leaves: nobody else notices.
func TestFlightOutlivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board flights[string, int]
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
			_, err := board.do(leader, "k", time.Minute, work)
			led <- err
		}()
		synctest.Wait()
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				if value, err := board.do(t.Context(), "k", time.Minute, work); value != 7 || err != nil {
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
		var board flights[string, int]
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
				if _, err := board.do(ctx, "k", time.Hour, stubborn); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiter %d: %v", i, err)
				}
			})
		}
		begin := time.Now()
		waiters.Wait()
		value, err := board.do(t.Context(), "k", time.Hour, func(context.Context) (int, error) { return 1, nil })
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
		var board flights[string, int]
		var calls atomic.Int32
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				_, err := board.do(t.Context(), "k", time.Minute, func(context.Context) (int, error) {
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
		var board flights[string, int]
		ctx := context.WithValue(t.Context(), key{}, "of the leader")
		_, err := board.do(ctx, "k", 3*time.Second, func(ctx context.Context) (int, error) {
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
		var board flights[string, int]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			_, err := board.do(ctx, "k", time.Minute, func(context.Context) (int, error) {
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
		var board flights[int, int]
		var waiters sync.WaitGroup
		for i := range 10 {
			waiters.Go(func() {
				value, _ := board.do(t.Context(), i, time.Minute, func(context.Context) (int, error) {
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
			var board flights[string, int]
			_, err := board.do(t.Context(), "k", time.Minute, func(context.Context) (int, error) {
				test.work()
				return 1, nil
			})
			if !errors.Is(err, errFlight) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%v", err)
			}
			if value, err := board.do(t.Context(), "k", time.Minute, func(context.Context) (int, error) { return 2, nil }); value != 2 {
				t.Errorf("afterwards: %d, %v", value, err)
			}
		})
	}
}

// A slowServer takes its time in fake time.
type slowServer struct {
	id    string
	calls atomic.Int32
	takes time.Duration
	err   error
}

func (s *slowServer) Token(ctx context.Context, _ url.Values) (*authserver.TokenResponse, error) {
	sent := time.Now()
	s.calls.Add(1)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.takes):
	}
	if s.err != nil {
		return nil, s.err
	}
	return &authserver.TokenResponse{
		AccessToken: authserver.NewSecret("issued"), TokenType: "Bearer", IssuedTokenType: TypeAccessToken,
		ExpiresIn: time.Minute, HasExpiresIn: true, SentAt: sent,
	}, nil
}

func (*slowServer) Issuer() string         { return testIssuer }
func (s *slowServer) Identity() []string   { return []string{"slow", s.id} }
func (*slowServer) Timeout() time.Duration { return 3 * time.Second }

// A thousand at once on a cold cache: one call, and all of them wait for that
// call alone. The first one leaves early.
func TestExchangeOnceForAll(t *testing.T) {
	for name, err := range map[string]error{"success": nil, "failure": authserver.ErrTimeout} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &slowServer{takes: time.Second, err: err}
				state := NewState(100, DefaultCacheBytes)
				defer state.Close()
				x, fault := New(Config{Leg: Leg{Client: server}, State: state})
				if fault != nil {
					t.Fatal(fault)
				}
				caller := callerAt(time.Now(), "t")
				leader, leave := context.WithCancel(t.Context())
				go func() { _, _ = x.Exchange(leader, caller) }()
				synctest.Wait()
				begin := time.Now()
				var waiters sync.WaitGroup
				for range 1000 {
					waiters.Go(func() {
						if _, got := x.Exchange(t.Context(), caller); (got == nil) != (err == nil) {
							t.Error(got)
						}
					})
				}
				synctest.Wait()
				leave()
				waiters.Wait()
				if server.calls.Load() != 1 || time.Since(begin) != time.Second {
					t.Errorf("%d calls in %v", server.calls.Load(), time.Since(begin))
				}
			})
		})
	}
}

// Between a miss and its flight another flight may land: then there is nothing
// left to ask.
func TestExchangeLooksAgain(t *testing.T) {
	server := &slowServer{}
	x, err := New(Config{Leg: Leg{Client: server}, State: newState(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	caller := callerAt(time.Now(), "t")
	landed, err := x.call(t.Context(), t.Context(), cacheKey{1}, caller)
	if err != nil {
		t.Fatal(err)
	}
	again, err := x.call(t.Context(), t.Context(), cacheKey{1}, caller)
	if err != nil || again.Token != landed.Token || !again.Cached || server.calls.Load() != 1 {
		t.Errorf("%+v, %v after %d calls", again, err, server.calls.Load())
	}
}

// The reuse rules once more in the runtime's fake time, where the cache's own
// clock runs as well.
func TestExchangeForgetsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{}
		state := NewState(100, DefaultCacheBytes)
		defer state.Close()
		x, err := New(Config{Leg: Leg{Client: server}, State: state})
		if err != nil {
			t.Fatal(err)
		}
		caller := callerAt(time.Now(), "t")
		for _, step := range []struct {
			after time.Duration
			calls int32
		}{{0, 1}, {40 * time.Second, 1}, {15 * time.Second, 2}, {2 * time.Minute, 3}} {
			<-time.After(step.after)
			if _, err := x.Exchange(t.Context(), caller); err != nil {
				t.Fatal(err)
			}
			if got := server.calls.Load(); got != step.calls {
				t.Errorf("after %v: %d calls, want %d", step.after, got, step.calls)
			}
		}
		<-time.After(5 * time.Minute)
		state.issued.CleanUp()
		if state.Len() != 0 {
			t.Errorf("%d tokens kept past their end", state.Len())
		}
	})
}
