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

// Turns bound the calls to one endpoint, and those that one exchange makes of them. Each
// endpoint has its own: everyone can make up opaque tokens, and whoever floods the gateway
// with them must not keep the holders of good ones from the token endpoint.
type Turns struct {
	slots   chan struct{}
	queue   int32
	waiting atomic.Int32
}

func newTurns() *Turns { return &Turns{slots: make(chan struct{}, maxCalls), queue: maxQueue} }

// ShareOfTurns are those of one exchange, of which a few less run and wait than at its
// endpoint. So an exchange whose calls all hang leaves some to the others.
func ShareOfTurns() *Turns {
	const left = 8 // one of eight
	return &Turns{slots: make(chan struct{}, maxCalls-maxCalls/left), queue: maxQueue - maxQueue/left}
}

// Enter waits for a turn, no longer than ctx lives, and fails with a *Pause where
// too many wait already or none came. Whoever got one calls Leave.
func (t *Turns) Enter(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	if t.waiting.Add(1) > t.queue {
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

// Leave ends a turn.
func (t *Turns) Leave() { <-t.slots }
