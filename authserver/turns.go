package authserver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// maxCalls is how many calls to one endpoint run at a time.
	maxCalls = 64
	// maxQueue is how many more may wait for their turn. Beyond it a caller is
	// sent away at once: a queue that grows without bound answers nobody in time.
	maxQueue = 256
	// retryBusy is how long whoever found the queue full is asked to wait.
	retryBusy = time.Second
)

// turns bound the calls to one endpoint. Each has its own: everyone can make up
// opaque tokens, and whoever floods the gateway with them must not keep the
// holders of good ones from the token endpoint.
type turns struct {
	slots   chan struct{}
	waiting atomic.Int32
}

func newTurns() *turns { return &turns{slots: make(chan struct{}, maxCalls)} }

// enter waits for a turn, no longer than ctx lives, and fails with a *Pause where
// too many wait already or none came. Whoever got one leaves.
func (t *turns) enter(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	if t.waiting.Add(1) > maxQueue {
		t.waiting.Add(-1)
		return &Pause{Reason: PauseBusy, RetryAfter: retryBusy}
	}
	defer t.waiting.Add(-1)
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return &Pause{Reason: PauseBusy, RetryAfter: retryBusy}
	}
}

func (t *turns) leave() { <-t.slots }
