package signing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"
)

// errStale says that the storage has an older key set than this node knows.
var errStale = errors.New("the storage has lost what was written")

// Start reads the key set, or makes the first one, and waits until its keys may
// sign. It fails if that cannot be done and no earlier configuration left anything
// to sign with: a gateway that starts without keys would answer every caller with
// 503.
func (r *Ring) Start(ctx context.Context) error {
	err := r.look(ctx, true)
	if err == nil && !r.signs() {
		// The first key of all is read again, once nobody can write over it any more.
		timing := r.config.Timing
		if err = pause(ctx, timing.settle(0)); err == nil {
			err = r.look(ctx, false)
		}
	}
	if err != nil && r.config.State.current.Load() == nil {
		return fmt.Errorf("the signing keys cannot be had from Caddy's storage (%s): %w", r.codec.place, err)
	}
	return nil
}

// signs tells whether there is a key for every purpose.
func (r *Ring) signs() bool {
	for _, purpose := range Purposes() {
		if _, err := r.Signer(purpose); err != nil {
			return false
		}
	}
	return true
}

// Run looks what other nodes did, and replaces keys when it is time, until the
// context ends. Whatever fails is tried again at the next turn.
func (r *Ring) Run(ctx context.Context) {
	for {
		// Jitter, so that many nodes do not ask for the lock together.
		poll := r.config.Timing.Poll()
		if pause(ctx, poll*3/4+rand.N(poll/4+1)) != nil { //nolint:gosec // not a secret
			return
		}
		_ = r.look(ctx, false)
	}
}

func pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// look reads the key set, writes what is due, and tells what has become of it.
func (r *Ring) look(ctx context.Context, starting bool) error {
	r.working.Lock()
	defer r.working.Unlock()
	err := r.readAndWrite(ctx, starting)
	if ctx.Err() == nil {
		r.report(err)
	}
	return err
}

func (r *Ring) readAndWrite(ctx context.Context, starting bool) error {
	read, current, err := r.read(ctx)
	if err != nil && !r.mayWrite(err) {
		return err
	}
	due := r.plan(read, r.now(), starting, current)
	if err == nil && due.empty() {
		return nil
	}
	// Keys are made before the lock is held, since that may take its time.
	fresh, failed := r.generate(due.create)
	if failed != nil {
		return failed
	}
	return r.change(ctx, func(s *set, current bool) (*set, error) {
		now := r.now()
		due := r.plan(s, now, starting, current)
		if due.empty() && s != nil {
			return nil, nil // another node did it
		}
		for _, purpose := range due.create {
			if fresh[purpose] == nil {
				return nil, errMoved
			}
		}
		if s == nil {
			s = &set{}
		}
		return r.follow(s, due, fresh, now), nil
	})
}

// errMoved says that the set became another one while the lock was waited for.
var errMoved = errors.New("the key set changed meanwhile")

// mayWrite tells whether the lack of a key set can be mended by writing one: the
// first one of all, or the one that this node still knows. What somebody else
// sealed is never written over.
func (r *Ring) mayWrite(err error) bool {
	known := r.config.State.current.Load() != nil
	return errors.Is(err, fs.ErrNotExist) || known && (errors.Is(err, errStale) || errors.Is(err, errBroken))
}

func (r *Ring) generate(purposes []Purpose) (map[Purpose]*key, error) {
	made := make(map[Purpose]*key, len(purposes))
	for _, purpose := range purposes {
		k, err := generate(purpose, r.config.Algorithm)
		if err != nil {
			return nil, err
		}
		made[purpose] = k
	}
	return made, nil
}

// change writes what next makes of the set as it is under the lock, and reads it
// back. next returns nil if nothing is to be written.
func (r *Ring) change(ctx context.Context, next func(s *set, current bool) (*set, error)) error {
	err := r.storage.locked(ctx, r.codec.place, func() error {
		base, current, err := r.read(ctx)
		if err != nil {
			if !r.mayWrite(err) {
				return err
			}
			base, current = r.remembered(), false
		}
		following, failed := next(base, current)
		if failed != nil {
			return failed
		}
		if following == nil {
			if err == nil || base == nil {
				return nil
			}
			following = newSet(base.serial+1, base.keys) // what the storage lost
		}
		raw, failed := r.codec.encode(following)
		if failed != nil {
			return failed
		}
		return r.storage.store(ctx, r.codec.place, raw)
	})
	if err != nil {
		return err
	}
	_, _, err = r.read(ctx)
	return err
}

// remembered is the set that this node read last, nil if it never did.
func (r *Ring) remembered() *set {
	if known := r.config.State.current.Load(); known != nil {
		return known.set
	}
	return nil
}

// read reads the key set and makes it the current one.
func (r *Ring) read(ctx context.Context) (read *set, current bool, err error) {
	raw, err := r.storage.load(ctx, r.codec.place)
	if err != nil {
		return r.remembered(), true, fmt.Errorf("reading the key set: %w", err)
	}
	known := r.config.State.current.Load()
	if known != nil && bytes.Equal(raw, known.raw) {
		r.keep(known.set, known.current, raw)
		return known.set, known.current, nil
	}
	read, current, err = r.codec.decode(raw)
	if err == nil && known != nil && r.lost(known, read) {
		err = errStale
	}
	if err != nil {
		return r.remembered(), true, fmt.Errorf("reading the key set: %w", err)
	}
	if known != nil {
		read.adopt(known.set)
	}
	r.keep(read, current, raw)
	return read, current, nil
}

// keep makes a set that was read the current one.
func (r *Ring) keep(read *set, current bool, raw []byte) {
	next := &view{set: read, raw: raw, read: r.now(), current: current}
	timing := r.config.Timing
	r.config.State.replace(next, timing.skew(), func(k *key) time.Duration { return timing.settle(k.from.Sub(k.created)) })
}

// lost tells whether a set is older than the one that is known: a write that came
// late, or a backup. Of two with the same serial, which two nodes wrote at once,
// the one in the storage counts, as long as it has every key that may have signed.
func (r *Ring) lost(known *view, read *set) bool {
	if read.serial != known.set.serial {
		return read.serial < known.set.serial
	}
	for _, k := range known.set.keys {
		if known.firm[k] && read.find(k.id) == nil {
			return true
		}
	}
	return false
}

// report tells of trouble and its end once, and counts it each time.
func (r *Ring) report(err error) {
	turned := r.config.State.turn(err != nil)
	log := r.config.Log.With(slog.String("issuer", r.config.Issuer))
	if err != nil {
		r.trouble.Store(&err)
		r.config.Failed(err)
		if turned {
			log.Error("looking after signing keys", slog.Any("error", err))
		}
		return
	}
	r.trouble.Store(nil)
	if turned {
		log.Info("looking after signing keys works again")
	}
	r.tell()
}

// tell tells which keys sign now.
func (r *Ring) tell() {
	now, current := r.now(), r.config.State.current.Load()
	for _, purpose := range Purposes() {
		k := r.active(current, purpose, now)
		if k == nil {
			continue
		}
		previous := r.config.State.signs(purpose, k.id)
		if previous == k.id {
			continue
		}
		r.config.Log.Info("signing with another key", slog.String("issuer", r.config.Issuer),
			slog.String("purpose", string(purpose)), slog.String("kid", k.id))
		if previous != "" {
			r.config.Rotated(Rotation{Purpose: purpose, Kid: k.id, Previous: previous})
		}
	}
}
