package exchange

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// errFlight says that the work of a flight ended without a result: a fault of
// this program.
var errFlight = errors.New("the work ended without a result")

// flights run work once for all who want the same thing at the same time.
//
// A flight belongs to nobody: it has its own context and deadline, so the one
// who came first may leave without failing the others. When the last one leaves
// it is cancelled, or callers who are gone would still cost calls. All who wait
// share its result, failures too: were each to try again in turn, the last would
// wait for the sum of all timeouts.
//
// The zero value is ready to use.
type flights[K comparable, V any] struct {
	mu      sync.Mutex
	running map[K]*flight[V]
}

type flight[V any] struct {
	cancel  context.CancelFunc
	waiters int           // guarded by flights.mu
	landed  chan struct{} // closed once value and err are final
	value   V
	err     error
}

// do waits for the flight of that key and starts it if there is none. The work's
// context holds none of ctx's values and ends after timeout or when nobody waits
// any more. If ctx ends first, do returns its error.
func (f *flights[K, V]) do(
	ctx context.Context, key K, timeout time.Duration, work func(context.Context) (V, error),
) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, err
	}
	joined := f.join(key, timeout, work) //nolint:contextcheck // the flight has a context of its own
	select {
	case <-joined.landed:
		return joined.value, joined.err
	case <-ctx.Done():
		f.leave(key, joined)
		return none, ctx.Err()
	}
}

func (f *flights[K, V]) join(key K, timeout time.Duration, work func(context.Context) (V, error)) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under := f.running[key]; under != nil {
		under.waiters++
		return under
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:gosec // called when it lands or is left
	started := &flight[V]{cancel: cancel, waiters: 1, landed: make(chan struct{})}
	if f.running == nil {
		f.running = make(map[K]*flight[V])
	}
	f.running[key] = started
	go f.fly(ctx, key, started, work)
	return started
}

func (f *flights[K, V]) leave(key K, left *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left.waiters--
	if left.waiters == 0 {
		// Whoever comes next must not board what is being cancelled.
		f.forget(key, left)
		left.cancel()
	}
}

func (f *flights[K, V]) fly(ctx context.Context, key K, under *flight[V], work func(context.Context) (V, error)) {
	under.err = errFlight // stands if the work panics or ends its goroutine
	defer func() {
		// A panic here would end the whole server, not one request.
		if cause := recover(); cause != nil {
			under.err = panicked(cause)
		}
		f.mu.Lock()
		f.forget(key, under)
		f.mu.Unlock()
		close(under.landed)
		under.cancel()
	}()
	under.value, under.err = work(ctx)
}

// forget takes a flight off the board unless another has taken its place.
func (f *flights[K, V]) forget(key K, old *flight[V]) {
	if f.running[key] == old {
		delete(f.running, key)
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
	return fmt.Errorf("%w: panic: %s\n%s", errFlight, what, debug.Stack())
}
