package authserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// breakerWindow is how far back a breaker looks, in steps of breakerStep.
	breakerWindow = 30 * time.Second
	breakerStep   = 3 * time.Second
	// breakerSamples is how many calls must have failed before that says
	// something about the server.
	breakerSamples = 5
	// breakerOpen is how long an endpoint is left alone before one call probes it.
	breakerOpen = 5 * time.Second
	// retryProbe is how long to wait while a probe is under way.
	retryProbe = time.Second
)

// A breaker leaves an endpoint alone that fails all who ask. One good answer in
// the window keeps it closed: there are servers that break over one bad token,
// and whoever sends such tokens must not take the server from all others. So it
// opens for an outage and for nothing less; the bound on calls and on their time
// contains the rest.
type breaker struct {
	circuit *gobreaker.CircuitBreaker[struct{}]

	mu    sync.Mutex
	cause string            // of the last failure, and then of having opened
	opens map[string]uint64 // times that it opened, by cause
	until time.Time         // when the next probe is due
	told  bool              // whether the last that was told is that it opened
}

func newBreaker() *breaker {
	b := &breaker{opens: make(map[string]uint64)}
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Interval:      breakerWindow,
		BucketPeriod:  breakerStep,
		Timeout:       breakerOpen,
		ReadyToTrip:   readyToTrip,
		OnStateChange: b.changed,
		IsSuccessful:  func(err error) bool { return failureOf(err) == "" },
		// Who left early says nothing about the server.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	return b
}

func readyToTrip(counts gobreaker.Counts) bool {
	return counts.TotalFailures >= breakerSamples && counts.TotalSuccesses == 0
}

// changed is called with the circuit's own lock held.
func (b *breaker) changed(_ string, from, to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to != gobreaker.StateOpen {
		return
	}
	b.until = time.Now().Add(breakerOpen)
	if from == gobreaker.StateClosed { // a probe that failed is the same outage
		b.opens[b.cause]++
	}
}

// run makes one call and remembers how it went.
func (b *breaker) run(work func() error) error {
	_, err := b.circuit.Execute(func() (struct{}, error) {
		err := work()
		b.note(err)
		return struct{}{}, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		return b.pause()
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		pause := b.pause()
		pause.RetryAfter = retryProbe
		return pause
	default:
		return err
	}
}

func (b *breaker) note(err error) {
	if cause := failureOf(err); cause != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cause = cause
	}
}

// paused returns the pause of an open breaker, nil of any other. It saves whoever
// would be refused anyway from waiting for a turn first.
func (b *breaker) paused() error {
	if b.circuit.State() == gobreaker.StateOpen {
		return b.pause()
	}
	return nil
}

func (b *breaker) pause() *Pause {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := time.Until(b.until)
	// The header has whole seconds; half of one would round down to none.
	return &Pause{Reason: PauseOpen, Cause: b.cause, RetryAfter: max(wait.Round(time.Second), time.Second)}
}

func (b *breaker) look(url string) EndpointState {
	circuit := b.circuit.State()
	state := EndpointState{URL: url, Open: circuit == gobreaker.StateOpen, Probing: circuit == gobreaker.StateHalfOpen}
	b.mu.Lock()
	defer b.mu.Unlock()
	state.Openings = maps.Clone(b.opens)
	if !b.until.IsZero() {
		state.Cause = b.cause
	}
	if state.Open {
		state.Until = b.until
	}
	return state
}

// news returns the state if it opened or closed since it was last asked, nil
// otherwise. Probes are no news.
func (b *breaker) news() *EndpointState {
	circuit := b.circuit.State()
	b.mu.Lock()
	defer b.mu.Unlock()
	if open := circuit == gobreaker.StateOpen; circuit == gobreaker.StateHalfOpen || open == b.told {
		return nil
	}
	b.told = !b.told
	return &EndpointState{Open: b.told, Cause: b.cause}
}

// errStatus is how a call tells its breaker which status came. To everyone
// else an answer is no error.
type errStatus int //nolint:errname // the word of what it is

func (e errStatus) Error() string { return fmt.Sprintf("status_%d", int(e)) }

// failureOf names what a call's error says about the server's health, "" if
// nothing: a 4xx is an answer, and so is one that cannot be used.
func failureOf(err error) string {
	var status errStatus
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &status):
		if status >= http.StatusInternalServerError {
			return status.Error()
		}
		return ""
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, ErrUnreachable):
		return "unreachable"
	default:
		return ""
	}
}
