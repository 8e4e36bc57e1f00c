package signing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A Storage is where all nodes have the key set: Caddy's own. Load fails with
// fs.ErrNotExist if there is none yet.
type Storage interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

const (
	// callTimeout bounds one call to the storage.
	callTimeout = 5 * time.Second
	// lockTimeout bounds the wait for its lock. The lock of a node that was killed is
	// stale after ten seconds in Caddy's file system.
	lockTimeout = 15 * time.Second
	// lostAfter is how many waits in a row the lock may outlast. No node holds it for as
	// long: reading, writing and giving it back take three calls. It is a dead one's then,
	// that does not grow stale: in Caddy's file system a process that had the lock just
	// before keeps the file fresh of whoever has it next.
	lostAfter = 4
)

// Place is where the key set of an issuer lies in the storage.
func Place(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return "gatehouse/" + hex.EncodeToString(sum[:16]) + "/keyset.json"
}

var errBusy = errors.New("an earlier call has not come back yet")

// A patient storage gives up on calls that do not come back, whether or not they
// obey their context: a file system that hangs does not. What was given up runs on
// alone; until it ends no other call of its kind is made, so that there is only one.
// A write that hangs keeps nobody from reading, nor from giving the lock back.
type patient struct {
	storage                            Storage
	loading, storing, locking, freeing slot
	waits                              atomic.Int32 // for the lock, that came to nothing in a row
}

// A slot is taken while a call of one kind is under way.
type slot chan struct{}

func newPatient(storage Storage) *patient {
	return &patient{
		storage: storage,
		loading: make(slot, 1), storing: make(slot, 1), locking: make(slot, 1), freeing: make(slot, 1),
	}
}

func (p *patient) load(ctx context.Context, place string) ([]byte, error) {
	// Not of the caller's: a call that was given up may still write it.
	var loaded atomic.Pointer[[]byte]
	err := p.loading.call(ctx, callTimeout, func(ctx context.Context) error {
		raw, err := p.storage.Load(ctx, place)
		loaded.Store(&raw)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return *loaded.Load(), nil
}

func (p *patient) store(ctx context.Context, place string, raw []byte) error {
	return p.storing.call(ctx, callTimeout, func(ctx context.Context) error { return p.storage.Store(ctx, place, raw) }, nil)
}

// locked does something under the storage's lock.
func (p *patient) locked(ctx context.Context, name string, do func() error) error {
	// Whoever stops must not leave the lock behind: as long as the process lives, it
	// would keep everybody out.
	lasting := context.WithoutCancel(ctx)
	unlock := func() error { return p.storage.Unlock(lasting, name) }
	err := p.locking.call(ctx, lockTimeout, func(ctx context.Context) error { return p.storage.Lock(ctx, name) }, unlock)
	if err != nil {
		return errors.Join(fmt.Errorf("locking: %w", err), p.free(lasting, err, unlock))
	}
	p.waits.Store(0)
	done := do()
	freed := p.freeing.call(lasting, callTimeout, func(context.Context) error { return unlock() }, nil)
	if freed != nil {
		freed = fmt.Errorf("unlocking: %w", freed)
	}
	return errors.Join(done, freed)
}

// free removes a lock that was waited for in vain too often; the next attempt gets it.
func (p *patient) free(ctx context.Context, waited error, unlock func() error) error {
	if !errors.Is(waited, context.DeadlineExceeded) || p.waits.Add(1) < lostAfter {
		return nil
	}
	p.waits.Store(0)
	if err := p.freeing.call(ctx, callTimeout, func(context.Context) error { return unlock() }, nil); err != nil {
		return fmt.Errorf("freeing the lock of a node that is gone: %w", err)
	}
	return nil
}

// call makes one call. If it succeeds after it was given up, undo is called.
func (s slot) call(ctx context.Context, timeout time.Duration, do func(context.Context) error, undo func() error) error {
	select {
	case s <- struct{}{}:
	default:
		return errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var settled atomic.Bool // by whoever is first: the call's end, or giving up
	done := make(chan error, 1)
	go func() {
		err := do(ctx)
		inTime := settled.CompareAndSwap(false, true)
		if !inTime && err == nil && undo != nil {
			_ = undo()
		}
		<-s
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if settled.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-done
	}
}
