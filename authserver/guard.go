package authserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxCalls is how many calls to one server run at a time.
	maxCalls = 64
	// maxQueue is how many more may wait for their turn. Beyond it a caller is
	// sent away at once: a queue that grows without bound answers nobody in time.
	maxQueue = 256
	// retryBusy is how long whoever found the queue full is asked to wait.
	retryBusy = time.Second
)

// Reasons of a Pause, for logs and metrics.
const (
	// PauseOpen: the endpoint has failed again and again and is left alone.
	PauseOpen = "breaker_open"
	// PauseBusy: too many calls to the server are under way already.
	PauseBusy = "busy"
)

// A Pause is an error: the server was not asked, so that it can recover or the
// gateway keep its footing. It says nothing about what was to be asked.
type Pause struct { //nolint:errname // the word of what it is
	// Reason is PauseOpen or PauseBusy.
	Reason string
	// RetryAfter is when to try again, at least a second.
	RetryAfter time.Duration
	// Cause is what opened the breaker, as Endpoint.Cause, "" for PauseBusy.
	Cause string
}

// Error names the reason.
func (p *Pause) Error() string {
	if p.Cause == "" {
		return fmt.Sprintf("authorization server is not asked: %s", p.Reason)
	}
	return fmt.Sprintf("authorization server is not asked: %s after %s", p.Reason, p.Cause)
}

// A Guard contains what one authorization server can do to the gateway, and the
// gateway to it: a breaker for each endpoint, and a bound on the calls that run
// or wait. It holds state and no settings, and should outlive configurations: a
// reload does not heal a server. It is safe for concurrent use.
type Guard struct {
	slots   chan struct{}
	waiting atomic.Int32

	mu       sync.Mutex
	breakers map[string]*breaker
}

// NewGuard makes a guard that has seen nothing yet.
func NewGuard() *Guard {
	return &Guard{slots: make(chan struct{}, maxCalls), breakers: make(map[string]*breaker)}
}

// An EndpointState is how one endpoint of a server has been doing.
type EndpointState struct {
	// URL is the endpoint's, or discoveryPlace.
	URL string
	// Open tells whether it is left alone.
	Open bool
	// Cause is what opened the breaker: timeout, unreachable, or status_503 and
	// the like; "" if it never opened.
	Cause string
}

// Endpoints tells how the endpoints that have been called are doing, in no order.
func (g *Guard) Endpoints() []EndpointState {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make([]EndpointState, 0, len(g.breakers))
	for url, breaker := range g.breakers {
		states = append(states, breaker.look(url))
	}
	return states
}

// breaker returns the breaker of an endpoint. Endpoints come from configurations
// and from metadata of configured servers, so there are few.
func (g *Guard) breaker(endpoint string) *breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.breakers[endpoint]
	if known == nil {
		known = newBreaker()
		g.breakers[endpoint] = known
	}
	return known
}

// call makes one call unless the endpoint is left alone or the server is busy:
// then it returns a *Pause. A call that waits for its turn longer than ctx lives
// was not made either.
func (g *Guard) call(ctx context.Context, endpoint string, work func() error) error {
	breaker := g.breaker(endpoint)
	if pause := breaker.paused(); pause != nil {
		return pause
	}
	if err := g.enter(ctx); err != nil {
		return err
	}
	defer func() { <-g.slots }()
	return breaker.run(work)
}

func (g *Guard) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.waiting.Add(1) > maxQueue {
		g.waiting.Add(-1)
		return &Pause{Reason: PauseBusy, RetryAfter: retryBusy}
	}
	defer g.waiting.Add(-1)
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return &Pause{Reason: PauseBusy, RetryAfter: retryBusy}
	}
}
