package keys

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// unknownBurst and unknownEvery are the budget of fetches for a kid that
	// nobody has seen: whoever invents kids must not be able to make the gateway
	// hammer the issuer.
	unknownBurst = 3
	unknownEvery = 30 * time.Second
	// maxMissing bounds the memory of kids that do not exist.
	maxMissing = 1024
	// maxFitting bounds the keys that one token is tried against. A token without
	// kid costs its sender nothing to make, and the gateway a signature check for
	// each key.
	maxFitting = 16
)

// A State is what is known of one issuer's keys, and the budget for learning
// more. It holds no settings: configurations come and go, the state stays until
// the last one that uses it is gone. The zero value is not ready; use NewState.
type State struct {
	snapshot atomic.Pointer[Snapshot]
	budget   *rate.Limiter

	mu          sync.Mutex
	underWay    *flight
	missing     map[string]time.Time
	lastAttempt time.Time
	down        bool // the newest attempt to renew failed
	failed      time.Time
	fault       Fault
	dropped     []jose.DroppedKey
}

// NewState returns an empty state with a full budget.
func NewState() *State {
	return &State{
		budget:  rate.NewLimiter(rate.Every(unknownEvery), unknownBurst),
		missing: make(map[string]time.Time),
	}
}

// A Snapshot is one key set as it was fetched. It is immutable.
type Snapshot struct {
	// Fetched is when the set arrived.
	Fetched time.Time
	// Life is how long the issuer lets the set be kept, 0 if it did not say.
	Life time.Duration

	keys  []*jose.Key
	byID  map[string][]*jose.Key
	noIDs []*jose.Key
}

// Len is the number of keys.
func (s *Snapshot) Len() int { return len(s.keys) }

// Snapshot returns the newest key set, nil if none has arrived yet.
func (s *State) Snapshot() *Snapshot { return s.snapshot.Load() }

// replace makes a new key set the current one. A key that was there before keeps
// its address, so that tokens it verified stay remembered; one that is gone
// drops them.
func (s *State) replace(set []*jose.Key, fetched time.Time, life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	previous := s.snapshot.Load()
	next := &Snapshot{
		Fetched: fetched, Life: life,
		byID: make(map[string][]*jose.Key, len(set)),
	}
	for _, key := range set {
		key = previous.same(key)
		next.keys = append(next.keys, key)
		if key.ID() == "" {
			next.noIDs = append(next.noIDs, key)
		} else {
			next.byID[key.ID()] = append(next.byID[key.ID()], key)
		}
	}
	s.snapshot.Store(next)
	clear(s.missing)
}

// same returns the snapshot's own copy of a key, or the key itself.
func (s *Snapshot) same(key *jose.Key) *jose.Key {
	if s == nil {
		return key
	}
	for _, known := range s.keys {
		if known.Equal(key) {
			return known
		}
	}
	return key
}

// find returns the keys that may have made a signature: those with the kid, else
// those without any, and of these the first that fit the algorithm. known is
// false if the set has no key with that kid, so that a newer set might.
func (s *Snapshot) find(kid string, alg jose.Algorithm) (fitting []*jose.Key, known bool) {
	candidates := s.keys
	if kid != "" {
		candidates = s.byID[kid]
		if len(candidates) == 0 {
			candidates = s.noIDs
		}
	}
	// One key that fits is the rule: no new slice for it.
	if len(candidates) == 1 && candidates[0].Supports(alg) {
		return candidates, true
	}
	known = len(candidates) > 0
	for _, key := range candidates {
		if key.Supports(alg) && len(fitting) < maxFitting {
			fitting = append(fitting, key)
		}
	}
	return slices.Clip(fitting), known
}

func (s *State) isMissing(kid string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.missing[kid]
	return ok && now.Before(until)
}

// rememberMissing notes a kid that the newest set does not have. When the memory
// is full it starts anew: the budget, not the memory, is what protects the
// issuer.
func (s *State) rememberMissing(kid string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.missing) >= maxMissing {
		clear(s.missing)
	}
	s.missing[kid] = now.Add(unknownEvery)
}

// mayAttempt allows one attempt to get a first key set each interval, so that
// callers of an issuer that is down do not add load to its trouble. It needs the
// lock, which board holds when it asks.
func (s *State) mayAttempt(now time.Time, interval time.Duration) bool {
	if !s.lastAttempt.IsZero() && now.Sub(s.lastAttempt) < interval {
		return false
	}
	s.lastAttempt = now
	return true
}

// turn notes how an attempt to renew ended, and tells whether it is news that it
// failed, or did not.
func (s *State) turn(err error, now time.Time) (turned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	down := err != nil
	turned = s.down != down
	s.down = down
	if down {
		s.failed, s.fault = now, faultOf(err)
	}
	return turned
}

// drops notes which members of the newest set cannot be used, and tells whether
// that is news.
func (s *State) drops(dropped []jose.DroppedKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.dropped, dropped) {
		return false
	}
	s.dropped = dropped
	return true
}
