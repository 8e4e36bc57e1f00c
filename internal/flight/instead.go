package flight

import (
	"context"
	"slices"
	"time"
)

// A Successor is work that takes the place of the flight that is under way for a key,
// because something that it may bring is not good any more.
type Successor[K comparable, V any] struct {
	// Name says what is not good any more: those who come with the same name at the same
	// time share one flight.
	Name K
	// Begin withdraws it. Nobody can board for the key between that and the beginning of
	// the flight. It must not call the board.
	Begin func()
	// Work is the flight's. before waits for the flight whose place it took, and is nil
	// if there was none.
	Work func(ctx context.Context, before func() (V, error)) (V, error)
}

// Instead waits like Do, for the successor of the flight of that key. Whoever comes for
// the key from then on boards the successor. Those who wait for the flight before it
// get what that one brings.
func (b *Board[K, V]) Instead(ctx context.Context, key K, timeout time.Duration, next Successor[K, V]) (V, error) {
	if err := ctx.Err(); err != nil {
		var none V
		return none, err
	}
	return b.wait(ctx, key, b.succeed(key, timeout, next))
}

func (b *Board[K, V]) succeed(key K, timeout time.Duration, next Successor[K, V]) *flight[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.running[key]
	if before != nil && before.name == next.Name {
		before.waiters++
		return before
	}
	next.Begin()
	if before == nil {
		return b.start(key, next.Name, timeout, func(ctx context.Context) (V, error) { return next.Work(ctx, nil) })
	}
	for earlier := before; earlier != nil; earlier = earlier.before {
		earlier.after = append(earlier.after, next.Name)
	}
	before.waiters++
	started := b.start(key, next.Name, timeout, func(ctx context.Context) (V, error) {
		defer b.leave(key, before) // it has a waiter in this one, whether that asks for it or not
		return next.Work(ctx, func() (V, error) { return before.await(ctx) })
	})
	started.before = before
	return started
}

// aboard is where the context of a board's flight has that flight.
type aboard[K comparable, V any] struct{ board *Board[K, V] }

// Unless keeps what a flight brings, in the flight's own work, unless a successor of that
// name has begun meanwhile: what the successor has withdrawn must not come back by who
// was under way. No successor begins while keep runs. It must not call the board.
func (b *Board[K, V]) Unless(ctx context.Context, name K, keep func()) {
	under, _ := ctx.Value(aboard[K, V]{b}).(*flight[K, V])
	b.mu.Lock()
	defer b.mu.Unlock()
	if under == nil || !slices.Contains(under.after, name) {
		keep()
	}
}
