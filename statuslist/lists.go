package statuslist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// How long lists are kept.
const (
	// minLife and maxLife bound what a list, or the server that has it, says of how
	// long it may be kept; defaultLife is for those that say nothing.
	minLife     = 5 * time.Second
	maxLife     = time.Hour
	defaultLife = 5 * time.Minute
	// renewAt is the part of its life after which a list is renewed.
	renewAt = 0.8
	// maxStale bounds how long a list serves while no newer one can be had, whatever
	// its exp says, and graceless what one without exp serves beyond its life.
	maxStale  = 24 * time.Hour
	graceless = time.Hour
	// checkWait bounds how long a request waits for a list.
	checkWait = 2 * time.Second
	// lookEvery is how often it is looked which lists grow old.
	lookEvery = time.Second
)

// A Fetcher gets a Status List Token from its address, and tells how long the server
// lets it be kept (0: it does not say).
type Fetcher interface {
	StatusList(ctx context.Context, uri string) (text string, life time.Duration, err error)
}

// An Outcome is what came of one fetch.
type Outcome string

// The outcomes.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeUnreachable Outcome = "unreachable" // no answer, or none that holds a list
	OutcomeInvalid     Outcome = "invalid"     // an answer that is not to be believed
	OutcomeNoKeys      Outcome = "no_keys"     // it could not be verified
	OutcomeRefused     Outcome = "refused"     // it was not asked for: the budget is used up
)

// Config shapes Lists.
type Config struct {
	// Issuer is whose tokens they are about: the iss of a list that has one.
	Issuer string
	// State is what is known already. It is of one issuer, of its Places and of all
	// that decides what is believed. Its Watches are of the issuer alone.
	State *State
	// Places are where lists may lie. Nothing is fetched from elsewhere.
	Places Places
	// Fetcher gets lists.
	Fetcher Fetcher
	// FetchTimeout bounds one fetch. Default: 10s.
	FetchTimeout time.Duration
	// Keys are the issuer's keys, with which lists are signed, and Algorithms those
	// that it may sign with.
	Keys       token.KeySource
	Algorithms []jose.Algorithm
	// Leeway is how far the clocks may be apart.
	Leeway time.Duration
	// Observe is told what came of every fetch. It must return at once. Default: nobody
	// is told.
	Observe func(Outcome)
	// Log gets what operators must know. Default: nothing is logged.
	Log *slog.Logger
}

// Lists are the status lists of one issuer. They are safe for concurrent use.
type Lists struct {
	config Config
}

// New makes lists. Nothing is fetched before the first Check.
func New(config Config) *Lists {
	if config.FetchTimeout <= 0 {
		config.FetchTimeout = 10 * time.Second
	}
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Lists{config: config}
}

// Check implements token.StatusSource. What a list that is there says is said at once.
// For one that is not, a fetch is asked for within a budget, shared by everyone who
// waits, and awaited for at most two seconds.
func (l *Lists) Check(ctx context.Context, status token.Status) error {
	now := time.Now()
	if one := l.config.State.find(status.URI); one != nil {
		if list := l.usable(one.held.Load(), now); list != nil {
			one.touch(now)
			return list.judge(status.Index)
		}
	}
	return l.ask(ctx, status, now)
}

// usable returns the list if it may still be believed: its time has not passed, and the
// key that made it is still the issuer's.
func (l *Lists) usable(list *held, now time.Time) *held {
	if list == nil || !now.Before(list.until) || !l.config.Keys.Holds(list.key) {
		return nil
	}
	return list
}

var errBudget = errors.New("too many lists were named that are not known")

// ask gets a list that is not there.
func (l *Lists) ask(ctx context.Context, status token.Status, now time.Time) error {
	if !l.config.Places.Allow(status.URI) {
		return fmt.Errorf("%w: the list lies where this issuer's may not", token.WrongStatusList)
	}
	var seen *held
	if one := l.config.State.find(status.URI); one != nil {
		one.touch(now)
		if seen = one.held.Load(); l.usable(seen, now) != nil {
			return seen.judge(status.Index)
		}
	}
	joined, refused := l.config.State.board(status.URI, seen, now, l.fetch)
	switch {
	case refused:
		l.config.Observe(OutcomeRefused)
		return fmt.Errorf("%w: %w", token.StatusUnknown, errBudget)
	case joined == nil:
		return fmt.Errorf("%w: the list could not be had a moment ago", token.StatusUnknown)
	}
	if err := wait(ctx, joined); err != nil {
		return err
	}
	if one := l.config.State.find(status.URI); one != nil {
		if list := l.usable(one.held.Load(), time.Now()); list != nil {
			return list.judge(status.Index)
		}
	}
	return fmt.Errorf("%w: the list could not be had", token.StatusUnknown)
}

// wait waits for a flight, for a while. That the caller left says nothing of the list.
func wait(ctx context.Context, joined *flight) error {
	timer := time.NewTimer(checkWait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%w: the list takes its time", token.StatusUnknown)
	case <-joined.landed:
		return nil
	}
}

// Run renews the lists that are used until the context ends.
func (l *Lists) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.renew(time.Now())
		}
	}
}

func (l *Lists) renew(now time.Time) {
	for _, uri := range l.config.State.due(now) {
		if !l.config.Places.Allow(uri) {
			// Streams of a configuration that had other places: new tokens are refused.
			l.config.State.watches.tell(uri, nil)
			continue
		}
		var seen *held
		if one := l.config.State.find(uri); one != nil {
			seen = one.held.Load()
		}
		_, _ = l.config.State.board(uri, seen, now, l.fetch)
	}
}

// allows tells whether the issuer may sign with an algorithm.
func (l *Lists) allows(alg jose.Algorithm) bool { return slices.Contains(l.config.Algorithms, alg) }
