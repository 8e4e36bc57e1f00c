package signing

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// A Peer is another region of the same issuer, with keys of its own.
type Peer interface {
	// Keys are the region's own public keys, as far as they are known.
	Keys() []*jose.Key
}

// Config shapes a Ring.
type Config struct {
	// Issuer is the issuer of the tokens.
	Issuer string
	// Algorithm signs with new keys: ES256, EdDSA, RS256 or PS256. Default: ES256.
	Algorithm jose.Algorithm
	// Timing says how long keys stay in their states.
	Timing Timing
	// State is what is known already.
	State *State
	// Storage is where all nodes have the key set.
	Storage Storage
	// Seal are the secrets that seal the key set, the one that is used for it first.
	// Default: it is not sealed.
	Seal []string
	// Open tells whether a key set that is not sealed is believed, as in a file
	// system. Default: false.
	Open bool
	// Peers are the other regions. Default: none.
	Peers []Peer
	// Rotated is told that another key signs. It must return at once. Default: nobody
	// is told.
	Rotated func(Rotation)
	// Failed is told of each time that the storage could not be read or written. It
	// must return at once. Default: nobody is told.
	Failed func(error)
	// Log gets what operators must know. Default: nothing is logged.
	Log *slog.Logger
}

// A Ring is the gateway's keys: those that sign, and all that are published. It is
// safe for concurrent use.
type Ring struct {
	config   Config
	codec    *codec
	storage  *patient
	document atomic.Pointer[document]
	now      func() time.Time

	working sync.Mutex // one look into the storage at a time
	trouble atomic.Pointer[error]
}

// A Rotation tells that another key signs.
type Rotation struct {
	Purpose Purpose
	// Kid signs now, Previous did so before.
	Kid, Previous string
}

// NewRing makes a ring. Nothing is read or made before it starts.
func NewRing(config Config) (*Ring, error) {
	if config.Algorithm == "" {
		config.Algorithm = jose.ES256
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Rotated == nil {
		config.Rotated = func(Rotation) {}
	}
	if config.Failed == nil {
		config.Failed = func(error) {}
	}
	config.Timing = config.Timing.withDefaults()
	made, err := newSealer(config.Seal)
	if err != nil {
		return nil, err
	}
	return &Ring{
		config:  config,
		codec:   &codec{place: Place(config.Issuer), sealer: made, open: config.Open},
		storage: newPatient(config.Storage),
		now:     time.Now,
	}, nil
}

// Issuer is the issuer of the tokens.
func (r *Ring) Issuer() string { return r.config.Issuer }

// MaxAge is how long the published key set may be kept.
func (r *Ring) MaxAge() time.Duration { return r.config.Timing.MaxAge() }

// Signer implements Keys. A key signs only if it was read back from the storage
// late enough that no other node can still have written over it. While the storage
// is out of reach, the last key signs on, up to a grace after its planned end.
func (r *Ring) Signer(purpose Purpose) (*jose.Signer, error) {
	found := r.active(r.config.State.current.Load(), purpose, r.now())
	if found == nil {
		return nil, ErrNoKey
	}
	return found.signer, nil
}

// active is the key of a view that signs at that time, nil if none does.
func (r *Ring) active(current *view, purpose Purpose, now time.Time) *key {
	if current == nil {
		return nil
	}
	for _, k := range slices.Backward(current.set.keys) {
		if k.purpose != purpose || k.signer == nil || k.from.After(now) || !current.firm[k] {
			continue
		}
		timing := r.config.Timing
		if now.After(k.from.Add(timing.Rotate+timing.grace())) && !r.fresh(current, now) {
			return nil
		}
		return k
	}
	return nil
}

// fresh tells whether the storage was read as often as it should be.
func (r *Ring) fresh(current *view, now time.Time) bool {
	return now.Sub(current.read) <= missedPolls*r.config.Timing.Poll()
}

// missedPolls is how many reads may fail before the ring counts as degraded.
const missedPolls = 3

// Holds implements Keys.
func (r *Ring) Holds(kid string) bool {
	current := r.config.State.current.Load()
	return current != nil && current.set.find(kid) != nil
}

// Verification returns the keys that verify the gateway's own tokens of one
// purpose: this region's, whatever their state, and those of its peers. It has the
// form of token.KeySource.
func (r *Ring) Verification(purpose Purpose) *Verification {
	return &Verification{ring: r, purpose: purpose}
}

// Verification finds the keys that verify the gateway's own tokens.
type Verification struct {
	ring    *Ring
	purpose Purpose
}

// Find returns the key with that kid. Every token of the gateway's own names one.
// Errors: keys.ErrUnknown, keys.ErrUnavailable.
func (v *Verification) Find(_ context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	current := v.ring.config.State.current.Load()
	if current == nil {
		return nil, keys.ErrUnavailable
	}
	if k := current.set.find(kid); k != nil && k.purpose == v.purpose && k.public.Supports(alg) {
		return []*jose.Key{k.public}, nil
	}
	for _, peer := range v.ring.config.Peers {
		for _, public := range peer.Keys() {
			if kid != "" && public.ID() == kid && public.Supports(alg) {
				return []*jose.Key{public}, nil
			}
		}
	}
	return nil, keys.ErrUnknown
}

// Holds tells whether the very key is still published.
func (v *Verification) Holds(public *jose.Key) bool {
	current := v.ring.config.State.current.Load()
	if current != nil {
		if k := current.set.find(public.ID()); k != nil && k.public == public {
			return true
		}
	}
	for _, peer := range v.ring.config.Peers {
		if slices.Contains(peer.Keys(), public) {
			return true
		}
	}
	return false
}
