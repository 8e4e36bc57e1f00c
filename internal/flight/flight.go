// Package flight runs work once for all who want the same thing at the same
// time, and for as long as one of them still wants it.
package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Err says that the work of a flight ended without a result: a fault of
// this program.
var Err = errors.New("the work ended without a result")

// A Board runs work once for all who want the same thing at the same time.
//
// A flight belongs to nobody: it has its own context and deadline, so the one
// who came first may leave without failing the others. When the last one leaves
// it is cancelled, or callers who are gone would still cost calls. All who wait
// share its result, failures too: were each to try again in turn, the last would
// wait for the sum of all timeouts.
//
// The zero value is ready to use.
type Board[K comparable, V any] struct {
	mu      sync.Mutex
	running map[K]*flight[K, V]
}

type flight[K comparable, V any] struct {
	name    K // the key, or that of a Successor
	cancel  context.CancelFunc
	landed  chan struct{} // closed once value and err are final
	value   V
	err     error
	waiters int // guarded by Board.mu, as what follows

	before *flight[K, V] // whose place this one took, nil once this one has landed
	after  []K           // the names of those that began in its place
}

// Do waits for the flight of that key and starts it if there is none. The work's
// context holds none of ctx's values and ends after timeout or when nobody waits
// any more. If ctx ends first, Do returns its error.
func (b *Board[K, V]) Do(
	ctx context.Context, key K, timeout time.Duration, work func(context.Context) (V, error),
) (V, error) {
	if err := ctx.Err(); err != nil {
		var none V
		return none, err
	}
	return b.wait(ctx, key, b.join(key, timeout, work))
}

func (b *Board[K, V]) join(key K, timeout time.Duration, work func(context.Context) (V, error)) *flight[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if under := b.running[key]; under != nil {
		under.waiters++
		return under
	}
	return b.start(key, key, timeout, work)
}

// start is called with mu held.
func (b *Board[K, V]) start(key, name K, timeout time.Duration, work func(context.Context) (V, error)) *flight[K, V] {
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:gosec // called when it lands or is left
	started := &flight[K, V]{name: name, cancel: cancel, waiters: 1, landed: make(chan struct{})}
	if b.running == nil {
		b.running = make(map[K]*flight[K, V])
	}
	b.running[key] = started
	go b.fly(context.WithValue(ctx, aboard[K, V]{b}, started), key, started, work)
	return started
}

// wait returns what comes of a flight that counts the caller among its waiters.
func (b *Board[K, V]) wait(ctx context.Context, key K, joined *flight[K, V]) (V, error) {
	value, err := joined.await(ctx)
	if ctx.Err() != nil {
		b.leave(key, joined)
	}
	return value, err
}

func (f *flight[K, V]) await(ctx context.Context) (value V, err error) {
	select {
	case <-f.landed:
		return f.value, f.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

func (b *Board[K, V]) leave(key K, left *flight[K, V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left.waiters--
	if left.waiters == 0 {
		// Whoever comes next must not board what is being cancelled.
		b.forget(key, left)
		left.cancel()
	}
}

func (b *Board[K, V]) fly(ctx context.Context, key K, under *flight[K, V], work func(context.Context) (V, error)) {
	under.err = Err // stands if the work panics or ends its goroutine
	defer func() {
		// A panic here would end the whole server, not one request.
		if cause := recover(); cause != nil {
			under.err = panicked(cause)
		}
		b.mu.Lock()
		b.forget(key, under)
		under.before = nil
		b.mu.Unlock()
		close(under.landed)
		under.cancel()
	}()
	under.value, under.err = work(ctx)
}

// forget takes a flight off the board unless another has taken its place.
func (b *Board[K, V]) forget(key K, old *flight[K, V]) {
	if b.running[key] == old {
		delete(b.running, key)
	}
}

// panicked describes a panic without printing its value, which may hold anything;
// only the runtime's own (an index, a nil) is known to hold no secret.
func panicked(cause any) error {
	what := fmt.Sprintf("%T", cause)
	var fault runtime.Error
	if err, ok := cause.(error); ok && errors.As(err, &fault) {
		what = fault.Error()
	}
	return fmt.Errorf("%w: panic: %s\n%s", Err, what, debug.Stack())
}
