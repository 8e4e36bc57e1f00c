package exchange

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// A slowServer takes its time in fake time.
type slowServer struct {
	id    string
	calls atomic.Int32
	takes time.Duration
	err   error
	// counts makes each token another one.
	counts bool
}

func (s *slowServer) Token(ctx context.Context, _ url.Values) (*authserver.TokenResponse, error) {
	sent := time.Now()
	text, call := "issued", s.calls.Add(1)
	if s.counts {
		text = fmt.Sprint("issued-", call)
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.takes):
	}
	if s.err != nil {
		return nil, s.err
	}
	return &authserver.TokenResponse{
		AccessToken: authserver.NewSecret(text), TokenType: "Bearer", IssuedTokenType: TypeAccessToken,
		ExpiresIn: time.Minute, HasExpiresIn: true, SentAt: sent,
	}, nil
}

func (*slowServer) Issuer() string         { return testIssuer }
func (s *slowServer) Identity() []string   { return []string{"slow", s.id} }
func (*slowServer) Timeout() time.Duration { return 3 * time.Second }

// newSlow makes an exchanger that asks this server, and its memory.
func newSlow(t *testing.T, server *slowServer) (*Exchanger, *State) {
	t.Helper()
	state := NewState(100, DefaultCacheBytes)
	t.Cleanup(state.Close)
	x, err := New(Config{Leg: Leg{Client: server}, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return x, state
}

// A thousand at once on a cold cache: one call, and all of them wait for that
// call alone. The first one leaves early.
func TestExchangeOnceForAll(t *testing.T) {
	for name, err := range map[string]error{"success": nil, "failure": authserver.ErrTimeout} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &slowServer{takes: time.Second, err: err}
				x, _ := newSlow(t, server)
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
