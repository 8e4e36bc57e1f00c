package signing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// KeyState is where a key is in its life.
type KeyState string

// The states of a key.
const (
	// Pending is published and does not sign yet.
	Pending KeyState = "pending"
	// Active signs.
	Active KeyState = "active"
	// Retired is published and signs no more.
	Retired KeyState = "retired"
)

// KeyInfo is one key as operators see it. It holds nothing secret.
type KeyInfo struct {
	Kid       string         `json:"kid"`
	Purpose   Purpose        `json:"purpose"`
	Algorithm jose.Algorithm `json:"algorithm"`
	State     KeyState       `json:"state"`
	Created   time.Time      `json:"created"`
	// SignsFrom is when it begins to sign, or began.
	SignsFrom time.Time `json:"signs_from"`
	// Gone is when it leaves the published set, as far as that is settled.
	Gone time.Time `json:"gone,omitzero"`
}

// What operators may hear of Rotate and Retire.
var (
	// ErrPending says that keys wait already.
	ErrPending = errors.New("a new key is pending already for every purpose")
	// ErrUnknownKid says that there is no such key.
	ErrUnknownKid = errors.New("no key has that kid")
	// errNotGone says that another node wrote over what was done.
	errNotGone = errors.New("another node wrote the key set at the same moment: try again")
)

// Keys lists the keys, in the order in which they sign.
func (r *Ring) Keys() []KeyInfo {
	current, now := r.config.State.current.Load(), r.now()
	if current == nil {
		return nil
	}
	listed := make([]KeyInfo, 0, len(current.set.keys))
	for _, k := range current.set.keys {
		listed = append(listed, r.info(current, k, now))
	}
	return listed
}

func (r *Ring) info(current *view, k *key, now time.Time) KeyInfo {
	state := Retired
	switch {
	case r.active(current, k.purpose, now) == k:
		state = Active
	case k.signer != nil && (k.from.After(now) || !current.firm[k]):
		state = Pending
	}
	return KeyInfo{
		Kid: k.id, Purpose: k.purpose, Algorithm: k.alg, State: state,
		Created: k.created, SignsFrom: k.from, Gone: k.gone,
	}
}

// Rotate makes a new key for every purpose that has none pending. They sign after
// the overlap, as all do. It returns them, or ErrPending.
func (r *Ring) Rotate(ctx context.Context) ([]KeyInfo, error) {
	fresh, err := r.generate(Purposes())
	if err != nil {
		return nil, err
	}
	var made []string
	err = r.operate(ctx, func(s *set) (*set, error) {
		now, due := r.now(), plan{}
		for _, purpose := range Purposes() {
			if newest := s.newest(purpose); newest == nil || !newest.from.After(now) {
				due.create = append(due.create, purpose)
				made = append(made, fresh[purpose].id)
			}
		}
		if len(due.create) == 0 {
			return nil, ErrPending
		}
		return r.follow(s, due, fresh, now), nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(r.Keys(), func(k KeyInfo) bool { return !slices.Contains(made, k.Kid) }), nil
}

// Retire takes a key out of the published set at once, for an emergency: no token
// that it signed is good any more, as soon as the caches of the world have ended.
// If it was the key that signs, the pending one does so instead, or else a new
// one as soon as every node has published it; until then nothing is signed. It
// returns the key as it was, or ErrUnknownKid.
func (r *Ring) Retire(ctx context.Context, kid string) (KeyInfo, error) {
	var was KeyInfo
	err := r.operate(ctx, func(s *set) (*set, error) {
		retired := s.find(kid)
		if retired == nil {
			return nil, ErrUnknownKid
		}
		now := r.now()
		was = r.info(r.config.State.current.Load(), retired, now)
		keys := slices.DeleteFunc(slices.Clone(s.keys), func(k *key) bool { return k == retired })
		without := newSet(s.serial+1, keys)
		if retired.signer == nil || was.State == Pending && len(without.keys) > 0 && without.newest(retired.purpose) != nil {
			return without, nil
		}
		return r.succeed(without, retired, now)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	if r.Holds(kid) {
		return KeyInfo{}, fmt.Errorf("retiring %s: %w", kid, errNotGone)
	}
	return was, nil
}

// succeed lets the next key of a purpose sign as soon as every node has it.
func (r *Ring) succeed(s *set, retired *key, now time.Time) (*set, error) {
	urgent := r.config.Timing.urgent()
	next := s.newest(retired.purpose)
	if next == nil {
		made, err := generate(retired.purpose, r.config.Algorithm)
		if err != nil {
			return nil, err
		}
		return newSet(s.serial, append(s.keys, made.starting(now, urgent))), nil
	}
	sooner := *next
	if at := later(now, next.created.Add(urgent)); at.Before(next.from) {
		sooner.from = at
	}
	keys := slices.Clone(s.keys)
	keys[slices.Index(keys, next)] = &sooner
	return newSet(s.serial, keys), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// operate is one act of an operator: it reads, changes and reads back.
func (r *Ring) operate(ctx context.Context, next func(*set) (*set, error)) error {
	r.working.Lock()
	defer r.working.Unlock()
	err := r.change(ctx, func(s *set, _ bool) (*set, error) {
		if s == nil {
			return nil, ErrNoKey
		}
		return next(s)
	})
	if err == nil {
		r.tell()
	}
	return err
}

// Status is how the ring fares.
type Status struct {
	// Trouble is why the storage could not be read or written at the last turn, nil
	// if it could.
	Trouble error
	// Degraded tells that it could not be for a while, or that a key signs beyond its
	// planned end.
	Degraded bool
	// Ages are how long the active key of each purpose has been signing.
	Ages map[Purpose]time.Duration
}

// Status tells how the ring fares.
func (r *Ring) Status() Status {
	now, current := r.now(), r.config.State.current.Load()
	status := Status{Ages: make(map[Purpose]time.Duration)}
	if trouble := r.trouble.Load(); trouble != nil {
		status.Trouble = *trouble
	}
	status.Degraded = current == nil || !r.fresh(current, now)
	for _, purpose := range Purposes() {
		k := r.active(current, purpose, now)
		if k == nil {
			status.Degraded = true
			continue
		}
		age := now.Sub(k.from)
		status.Ages[purpose] = age
		status.Degraded = status.Degraded || age > r.config.Timing.Rotate+r.config.Timing.skew()
	}
	return status
}
