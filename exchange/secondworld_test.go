package exchange

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

var errAway = errors.New("away")

// A shelf is a store that nodes share, and what goes wrong with it.
type shelf struct {
	values store.Values

	mu      sync.Mutex
	held    map[string][]byte // as it was put last, by name
	asked   int
	fails   error
	hangs   bool
	landing func() // runs once, before a value is put
}

func newShelf() *shelf { return &shelf{values: store.NewMemory(0), held: make(map[string][]byte)} }

func (s *shelf) Get(ctx context.Context, name string) ([]byte, bool, error) {
	if err := s.fault(ctx); err != nil {
		return nil, false, err
	}
	return s.values.Get(ctx, "test", name)
}

func (s *shelf) Put(ctx context.Context, name string, value []byte, until time.Time) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	landing := s.landing
	s.landing = nil
	s.mu.Unlock()
	if landing != nil {
		landing()
	}
	s.mu.Lock()
	s.held[name] = value
	s.mu.Unlock()
	return s.values.Put(ctx, "test", name, value, until)
}

func (s *shelf) Delete(ctx context.Context, name string) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.held, name)
	s.mu.Unlock()
	return s.values.Delete(ctx, "test", name)
}

func (s *shelf) fault(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	err, hangs := s.fails, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shelf) count() (held, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held), s.asked
}

// A fleet is two nodes with one store and one authorization server.
type fleet struct {
	a, b  rig
	shelf *shelf
	// counted are the outcomes at both.
	counted sync.Map
}

func (f *fleet) counts(outcome SharedOutcome) int64 {
	count, ok := f.counted.Load(outcome)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load()
}

func (f *fleet) settle() {
	f.a.config.Sharing.Level.running.Wait()
	f.b.config.Sharing.Level.running.Wait()
}

const fleetKey = "a key that both nodes have"

// newFleet makes a fleet. change is called for each node, by its number.
func newFleet(tb testing.TB, change func(node int, c *Config)) *fleet {
	tb.Helper()
	f := &fleet{shelf: newShelf()}
	fake, at := newSTS(tb), &clock{now: time.Now()} // the store has a clock of its own
	node := func(number int) rig {
		return rig{newExchanger(tb, fake, at, func(c *Config) {
			c.Sharing = Sharing{
				Level: NewSecondLevel(f.shelf, []byte(fleetKey)), Exchange: []byte("orders"),
				Count: func(outcome SharedOutcome) {
					count, _ := f.counted.LoadOrStore(outcome, new(atomic.Int64))
					count.(*atomic.Int64).Add(1)
				},
			}
			if change != nil {
				change(number, c)
			}
		}), fake, at}
	}
	f.a, f.b = node(0), node(1)
	return f
}

func (r rig) must(tb testing.TB, caller Caller) *Issued {
	tb.Helper()
	issued, err := r.Exchange(tb.Context(), caller)
	if err != nil {
		tb.Fatal(err)
	}
	return issued
}
