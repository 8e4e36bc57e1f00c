package provider

import (
	"crypto/rand"
	"sync"
	"time"
)

// State is what must outlive a configuration: keys, sign-ins under way,
// revocations, faults and counters. It holds no settings, so that a reloaded
// configuration can put new ones on top of the same state.
type State struct {
	keys    *keyring
	logins  *loginBook
	revoked *revocations
	faults  *faultBook
	stats   *counters

	secret    func() string
	announced sync.Once
}

// NewState returns an empty state for tokens signed with algorithm. It makes no
// key, starts nothing and touches no network.
func NewState(algorithm string) *State {
	if algorithm == "" {
		algorithm = DefaultAlgorithm
	}
	return &State{
		keys:    &keyring{algorithm: algorithms[algorithm]},
		logins:  newLoginBook(),
		revoked: &revocations{until: make(map[string]time.Time)},
		faults:  &faultBook{},
		stats:   newCounters(),
		secret:  sync.OnceValue(rand.Text),
	}
}

// revocations remembers revoked tokens by jti until they have expired anyway.
type revocations struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (r *revocations) add(id string, expiry time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for known, until := range r.until {
		if now.After(until) {
			delete(r.until, known)
		}
	}
	r.until[id] = expiry
}

func (r *revocations) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.until[id]
	return ok
}
