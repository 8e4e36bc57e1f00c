package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A Second is where nodes keep issued tokens for each other: a store that all of them
// reach, and that nobody reads but with their secret.
type Second interface {
	// Get returns what was put under that name; found is false if there is nothing.
	Get(ctx context.Context, name string) (value []byte, found bool, err error)
	// Put keeps a value until the instant has passed, in place of one that is there.
	Put(ctx context.Context, name string, value []byte, until time.Time) error
	// Delete drops it. That there is none is no error.
	Delete(ctx context.Context, name string) error
}

const (
	// secondRests is how long a store that has failed is left alone: a dead one must
	// not cost each exchange its timeout.
	secondRests = time.Second
	// readPatience and writePatience bound a call, whatever the store allows itself.
	// Somebody waits for what is read, nobody for what is written.
	readPatience  = 500 * time.Millisecond
	writePatience = 2 * time.Second
	// maxWrites bounds how many tokens are being put at a time, maxForgotten how many
	// names wait to be deleted. What is beyond is left to its end: whose token was
	// revoked is told before anything of a store is handed out.
	maxWrites    = 64
	maxForgotten = 1 << 17
)

// A SecondLevel is the memory of issued tokens that nodes share, behind that of each.
// It is no more than a help: what it does not have is asked for, and what goes wrong
// with it fails no exchange. It is safe for concurrent use.
type SecondLevel struct {
	store Second
	key   []byte // of names

	rests  atomic.Int64 // until when, in nanoseconds since 1970; zero: it works
	writes chan struct{}

	mu        sync.Mutex // for what follows
	forgotten []secondName
	deleting  bool

	running sync.WaitGroup // what goes on behind requests
}

// A secondName names one exchange on all nodes; see Exchanger.secondName.
type secondName [sha256.Size]byte

// NewSecondLevel makes a second level in a store. Whoever has the key can tell what a
// token would be called: it is derived from a secret that all nodes have and the store
// does not.
func NewSecondLevel(second Second, key []byte) *SecondLevel {
	return &SecondLevel{store: second, key: key, writes: make(chan struct{}, maxWrites)}
}

// errRests says that the store was not asked.
var errRests = errors.New("the store failed a moment ago")

// ask makes one call, unless the store has failed within the last moment. After that
// moment one caller tries whether it works again.
func (l *SecondLevel) ask(ctx context.Context, patience time.Duration, question func(context.Context) error) error {
	now := time.Now()
	rests := l.rests.Load()
	if rests != 0 && (now.UnixNano() < rests || !l.rests.CompareAndSwap(rests, now.Add(secondRests).UnixNano())) {
		return errRests
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := question(limited)
	switch {
	case err == nil, errors.Is(err, store.ErrFull):
		// One that is full can still be read.
		if rests != 0 {
			l.rests.Store(0)
		}
	case ctx.Err() != nil:
		// Those who waited are gone, which says nothing of the store.
	default:
		l.rests.Store(time.Now().Add(secondRests).UnixNano())
	}
	return err
}

func (l *SecondLevel) get(ctx context.Context, name secondName) (value []byte, found bool, err error) {
	err = l.ask(ctx, readPatience, func(ctx context.Context) (err error) {
		value, found, err = l.store.Get(ctx, string(name[:]))
		return err
	})
	return value, found && err == nil, err
}

func (l *SecondLevel) put(ctx context.Context, name secondName, value []byte, until time.Time) error {
	return l.ask(ctx, writePatience, func(ctx context.Context) error { return l.store.Put(ctx, string(name[:]), value, until) })
}

// delete takes that long; see readPatience.
func (l *SecondLevel) delete(ctx context.Context, name secondName, patience time.Duration) error {
	return l.ask(ctx, patience, func(ctx context.Context) error { return l.store.Delete(ctx, string(name[:])) })
}

// behind runs a write behind a request that does not wait for it, and is false if too
// many run already.
func (l *SecondLevel) behind(write func()) bool {
	select {
	case l.writes <- struct{}{}:
	default:
		return false
	}
	l.running.Go(func() {
		defer func() { <-l.writes }()
		write()
	})
	return true
}

// forget deletes behind the back of its caller, one name after another. A store that
// fails keeps the rest until it ends.
func (l *SecondLevel) forget(names []secondName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := max(maxForgotten-len(l.forgotten), 0)
	l.forgotten = append(l.forgotten, names[:min(len(names), room)]...)
	if !l.deleting && len(l.forgotten) > 0 {
		l.deleting = true
		l.running.Go(l.deleteForgotten)
	}
}

func (l *SecondLevel) deleteForgotten() {
	for {
		l.mu.Lock()
		names := l.forgotten
		l.forgotten = nil
		l.deleting = len(names) > 0
		l.mu.Unlock()
		if len(names) == 0 {
			return
		}
		for _, name := range names {
			if l.delete(context.Background(), name, writePatience) != nil {
				break
			}
		}
	}
}
