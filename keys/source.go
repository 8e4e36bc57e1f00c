package keys

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// Errors of Find.
var (
	// ErrUnavailable says that there is no key set to look in, or that a newer
	// one was needed and did not come: the token may be fine.
	ErrUnavailable = errors.New("the issuer's keys are not available")
	// ErrUnknown says that the issuer has no key that fits.
	ErrUnknown = errors.New("the issuer has no such key")
)

const (
	// DefaultMaxStale is how long the last good key set serves while the issuer
	// is down.
	DefaultMaxStale = 24 * time.Hour
	// findWait bounds how long a request waits for a key set.
	findWait = 2 * time.Second
	// attemptEvery is how often requests may ask for a first key set.
	attemptEvery = time.Second
)

// A Fetcher gets an issuer's key set from where it is published, and tells how
// long it may be kept (0: the issuer does not say).
type Fetcher interface {
	KeySet(ctx context.Context) (set jose.KeySet, life time.Duration, err error)
}

// A Refresh is one attempt to renew a key set.
type Refresh struct {
	Issuer string
	Err    error // nil if the set was renewed
	Keys   int
	// Turned tells that this attempt ended otherwise than the one before it: the
	// issuer became unreachable, or was reached again. It is so once for each turn,
	// across configurations. The first attempt turns nothing if it succeeds.
	Turned bool
}

// Config shapes a Source.
type Config struct {
	// Issuer names the issuer in logs and observations.
	Issuer string
	// State is what is known already.
	State *State
	// Fetcher renews the key set; nil for keys that never change.
	Fetcher Fetcher
	// FetchTimeout bounds one renewal: discovery and key set. Default: 10s.
	FetchTimeout time.Duration
	// Refresh is how long a set is young; it is renewed at 80 % of that. Default:
	// what the issuer says, between one minute and one hour, else ten minutes.
	Refresh time.Duration
	// MaxStale is how long the last good set serves. Default: 24h.
	MaxStale time.Duration
	// Observe is told of every attempt to renew. Who needs a key waits while it
	// runs, so it must return at once. Default: nobody is told.
	Observe func(Refresh)
	// Refused is told when a key that nobody knows is not looked for, since the
	// budget for that is used up. Default: nobody is told.
	Refused func()
	// Log gets what operators must know. Default: nothing is logged.
	Log *slog.Logger
}

// A Source finds the keys of one issuer. It is safe for concurrent use.
type Source struct {
	config Config
	now    func() time.Time
	next   atomic.Int64 // when Run renews again, in nanoseconds since 1970; 0: it does not run
}

// NewSource makes a source. Nothing is fetched before Run or the first Find.
func NewSource(config Config) *Source {
	if config.FetchTimeout <= 0 {
		config.FetchTimeout = 10 * time.Second
	}
	if config.MaxStale <= 0 {
		config.MaxStale = DefaultMaxStale
	}
	if config.Observe == nil {
		config.Observe = func(Refresh) {}
	}
	if config.Refused == nil {
		config.Refused = func() {}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{config: config, now: time.Now}
}

// NewStatic makes a source of keys that never change, from a file.
func NewStatic(issuer string, state *State, set jose.KeySet) *Source {
	source := NewSource(Config{Issuer: issuer, State: state})
	state.replace(set.Keys, source.now(), 0)
	return source
}

// Holds tells whether the newest key set still has this very key. A token that
// was verified with a key that is gone must be verified again, and fails.
func (s *Source) Holds(key *jose.Key) bool {
	snapshot := s.current()
	return snapshot != nil && slices.Contains(snapshot.keys, key)
}

// Keys are all keys of the newest key set, none while there is no set that may still
// serve. The slice is the same one until another set comes; it must not be changed.
func (s *Source) Keys() []*jose.Key {
	snapshot := s.current()
	if snapshot == nil {
		return nil
	}
	return snapshot.keys
}

// Loaded tells whether there ever was a key set, however old it is now.
func (s *Source) Loaded() bool { return s.config.State.Snapshot() != nil }

// Age tells how old the key set is; ok is false while there is none.
func (s *Source) Age() (age time.Duration, ok bool) {
	snapshot := s.config.State.Snapshot()
	if snapshot == nil || s.config.Fetcher == nil {
		return 0, false
	}
	return s.now().Sub(snapshot.Fetched), true
}

// Stale tells whether the key set is twice as old as it should ever be: the
// issuer has been down for a while, and operators should know. ok is false while
// there is none.
func (s *Source) Stale() (stale, ok bool) {
	age, ok := s.Age()
	return ok && age > 2*s.life(s.config.State.Snapshot()), ok
}

// current returns the key set unless it is too old to be believed.
func (s *Source) current() *Snapshot {
	snapshot := s.config.State.Snapshot()
	if snapshot == nil || s.config.Fetcher == nil {
		return snapshot
	}
	if s.now().Sub(snapshot.Fetched) > s.config.MaxStale {
		return nil
	}
	return snapshot
}

// Find returns the keys that may have made a signature with that kid ("" if the
// token names none) and algorithm. A key that is known is returned at once. For
// one that is not, a renewal is asked for within a budget, shared by everyone
// who waits, and awaited for at most two seconds.
//
// Errors: ErrUnknown, ErrUnavailable, or the context's.
func (s *Source) Find(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	snapshot := s.current()
	if snapshot == nil {
		if err := s.first(ctx); err != nil {
			return nil, err
		}
		snapshot = s.current()
	} else if _, known := snapshot.find(kid, alg); !known {
		if err := s.renewFor(ctx, kid, snapshot); err != nil {
			return nil, err
		}
		snapshot = s.current()
	}
	if snapshot == nil {
		return nil, ErrUnavailable
	}
	found, _ := snapshot.find(kid, alg)
	if len(found) == 0 {
		return nil, ErrUnknown
	}
	return found, nil
}

// first gets the first key set, or gives up at once if somebody tried just now.
func (s *Source) first(ctx context.Context) error {
	if s.config.Fetcher == nil {
		return ErrUnavailable
	}
	state := s.config.State
	joined, _ := state.board(state.Snapshot(), func() bool { return state.mayAttempt(s.now(), attemptEvery) }, s.fetch)
	if joined == nil {
		return ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	return available(wait(ctx, joined))
}

// renewFor gets a newer key set because the one that was seen lacks a kid.
func (s *Source) renewFor(ctx context.Context, kid string, seen *Snapshot) error {
	state := s.config.State
	if s.config.Fetcher == nil || state.isMissing(kid, s.now()) {
		return ErrUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	// Twice, because a fetch that was under way already may have asked before the
	// issuer published the key.
	for range 2 {
		joined, began := state.board(seen, func() bool { return state.budget.AllowN(s.now(), 1) }, s.fetch)
		if joined == nil {
			s.config.Refused()
			return ErrUnknown
		}
		if err := wait(ctx, joined); err != nil {
			return available(err)
		}
		if seen = s.current(); seen == nil {
			return ErrUnavailable
		}
		if _, known := seen.find(kid, ""); known {
			return nil
		}
		if began {
			break
		}
	}
	state.rememberMissing(kid, s.now())
	return nil
}

// available turns the error of a fetch into what Find says of it. That the caller
// left says nothing about the issuer.
func available(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return ErrUnavailable
}
