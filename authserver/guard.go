package authserver

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Reasons of a Pause, for logs and metrics.
const (
	// PauseOpen: the endpoint has failed again and again and is left alone.
	PauseOpen = "breaker_open"
	// PauseBusy: too many calls to the endpoint are under way already.
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
// gateway to it: for each endpoint a breaker, and a bound on the calls that run
// or wait. It holds state and no settings, and should outlive configurations: a
// reload does not heal a server. It is safe for concurrent use.
type Guard struct {
	mu        sync.Mutex
	endpoints map[string]*contained
}

// contained is how one endpoint is kept within bounds.
type contained struct {
	breaker *breaker
	turns   *Turns
}

// NewGuard makes a guard that has seen nothing yet.
func NewGuard() *Guard {
	return &Guard{endpoints: make(map[string]*contained)}
}

// An EndpointState is how one endpoint of a server has been doing.
type EndpointState struct {
	// URL is the endpoint's, or discoveryPlace.
	URL string
	// Open tells whether it is left alone, and Probing that one call tries at this moment,
	// or may, whether it answers again.
	Open, Probing bool
	// Until is when the next call may try, zero unless it is left alone.
	Until time.Time
	// Cause is what opened the breaker: timeout, unreachable, or status_503 and
	// the like; "" if it never opened.
	Cause string
	// Openings is how often it was left alone, by Cause. Probes that failed are not
	// counted: they are the same outage.
	Openings map[string]uint64
}

// Endpoints tells how the endpoints that have been called are doing, in no order.
func (g *Guard) Endpoints() []EndpointState {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make([]EndpointState, 0, len(g.endpoints))
	for url, known := range g.endpoints {
		states = append(states, known.breaker.look(url))
	}
	return states
}

// at returns what contains an endpoint. Endpoints come from configurations and
// from metadata of configured servers, so there are few.
func (g *Guard) at(endpoint string) *contained {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.endpoints[endpoint]
	if known == nil {
		known = &contained{breaker: newBreaker(), turns: newTurns()}
		g.endpoints[endpoint] = known
	}
	return known
}

func (g *Guard) breaker(endpoint string) *breaker { return g.at(endpoint).breaker }

// call makes one call unless the endpoint is left alone or busy:
// then it returns a *Pause. A call that waits for its turn longer than ctx lives
// was not made either.
func (g *Guard) call(ctx context.Context, endpoint string, work func() error) error {
	known := g.at(endpoint)
	if pause := known.breaker.paused(); pause != nil {
		return pause
	}
	if err := known.turns.Enter(ctx); err != nil {
		return err
	}
	defer known.turns.Leave()
	return known.breaker.run(work)
}
