package revocation

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// An engine is a store's log in memory that tests break: it loses everything, does
// not answer, or hangs.
type engine struct {
	mu     sync.Mutex
	log    store.Log
	broken error
	hang   chan struct{} // not nil: nothing answers before it is closed, whatever the context says
	reads  atomic.Int64
	puts   atomic.Int64
}

func newEngine() *engine { return &engine{log: store.NewMemory(0)} }

func (e *engine) set(change func(e *engine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *engine) now() (store.Log, error) {
	e.mu.Lock()
	hang, log, broken := e.hang, e.log, e.broken
	e.mu.Unlock()
	if hang != nil {
		<-hang
		return nil, errors.New("too late")
	}
	return log, broken
}

func (e *engine) Append(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	e.puts.Add(1)
	held, err := e.now()
	if err != nil {
		return err
	}
	return held.Append(ctx, log, id, data, until)
}

func (e *engine) Read(
	ctx context.Context, log store.Purpose, after store.Position, limit int, wait time.Duration,
) ([]store.Record, store.Position, error) {
	e.reads.Add(1)
	held, err := e.now()
	if err != nil {
		return nil, "", err
	}
	return held.Read(ctx, log, after, limit, wait)
}

// A node follows an engine until the test ends.
type node struct {
	*State

	lines bytes.Buffer // read it after stop
	stop  func()
}

func follow(t *testing.T, log store.Log) *node {
	t.Helper()
	return followed(t, NewState(log))
}

func followed(t *testing.T, state *State) *node {
	t.Helper()
	n := &node{State: state}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Follow(ctx, slog.New(slog.NewTextHandler(&n.lines, nil)))
	}()
	n.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(n.stop)
	return n
}

// soon waits in fake time until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 10_000 {
		synctest.Wait()
		if so() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}

func mustRevoke(t *testing.T, s *State, event Event) Event {
	t.Helper()
	revoked, err := s.Revoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return revoked
}

func good(subject string) *token.Token { return &token.Token{Issuer: issuer, Subject: subject} }

func reasonFor(s *State, bound Bound, subject string) token.Reason {
	reason, _ := errors.AsType[token.Reason](NewGuard(nil, s, bound).Check(good(subject)))
	return reason
}

var closed = Bound{MaxStaleness: 30 * time.Second}
