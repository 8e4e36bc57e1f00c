package signing

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shared is the storage that all nodes share, as a server would be.
type shared struct {
	mu       sync.Mutex
	held     map[string][]byte
	locked   map[string]bool
	lockless bool // its lock keeps nobody out
	writes   int
}

func newShared() *shared {
	return &shared{held: make(map[string][]byte), locked: make(map[string]bool)}
}

func (s *shared) get(place string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.held[place])
}

func (s *shared) put(place string, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[place] = bytes.Clone(raw)
	s.writes++
}

func (s *shared) tryLock(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked[name] && !s.lockless {
		return false
	}
	s.locked[name] = true
	return true
}

// access is one node's way to the storage, which may be cut or slow.
type access struct {
	shared *shared

	mu     sync.Mutex
	down   error
	slow   time.Duration // each call takes that long
	stuck  time.Duration // each call takes that long and does not obey its context
	stores time.Duration // as stuck, for Store alone
}

var errDown = errors.New("the storage is down")

func (a *access) set(change func(*access)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *access) arrive(ctx context.Context, storing bool) error {
	a.mu.Lock()
	down, slow, stuck := a.down, a.slow, a.stuck
	if storing {
		stuck = max(stuck, a.stores)
	}
	a.mu.Unlock()
	if stuck > 0 {
		<-time.After(stuck)
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return down
}

func (a *access) Load(ctx context.Context, place string) ([]byte, error) {
	if err := a.arrive(ctx, false); err != nil {
		return nil, err
	}
	if raw := a.shared.get(place); raw != nil {
		return raw, nil
	}
	return nil, fs.ErrNotExist
}

func (a *access) Store(ctx context.Context, place string, raw []byte) error {
	if err := a.arrive(ctx, true); err != nil {
		return err
	}
	a.shared.put(place, raw)
	return nil
}

func (a *access) Lock(ctx context.Context, name string) error {
	for {
		if err := a.arrive(ctx, false); err != nil {
			return err
		}
		if a.shared.tryLock(name) {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *access) Unlock(ctx context.Context, name string) error {
	if err := a.arrive(ctx, false); err != nil {
		return err
	}
	a.shared.mu.Lock()
	defer a.shared.mu.Unlock()
	delete(a.shared.locked, name)
	return nil
}

const testIssuer = "https://gateway.example.com"

// A node is one gateway.
type node struct {
	*Ring

	access *access
	failed atomic.Int32
	turns  atomic.Int32
	stop   func()
}

// A world is several gateways with one storage, and a witness who looks what they
// sign with and publish.
type world struct {
	t      *testing.T
	shared *shared
	nodes  []*node

	published map[string]time.Time // when each kid was published by all for the first time
	lastSign  map[string]time.Time
	dropped   map[string]bool // for an emergency
	began     time.Time
}

var testTiming = Timing{Rotate: 24 * time.Hour, Overlap: time.Hour}

func newWorld(t *testing.T, count int) *world {
	t.Helper()
	w := &world{
		t: t, shared: newShared(), began: time.Now(),
		published: make(map[string]time.Time), lastSign: make(map[string]time.Time), dropped: make(map[string]bool),
	}
	for range count {
		w.add(func(*Config) {})
	}
	return w
}

func (w *world) add(change func(*Config)) *node {
	w.t.Helper()
	n := &node{access: &access{shared: w.shared}, stop: func() {}}
	config := Config{
		Issuer: testIssuer, Timing: testTiming, State: NewState(), Storage: n.access, Seal: []string{"a secret that is long enough to seal"},
		Failed:  func(error) { n.failed.Add(1) },
		Rotated: func(Rotation) { n.turns.Add(1) },
	}
	change(&config)
	ring, err := NewRing(config)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Ring = ring
	w.nodes = append(w.nodes, n)
	return n
}

// start starts every node at once.
func (w *world) start() {
	w.t.Helper()
	var starting sync.WaitGroup
	for _, n := range w.nodes {
		starting.Go(func() {
			if err := n.Start(w.t.Context()); err != nil {
				w.t.Errorf("starting: %v", err)
			}
		})
	}
	starting.Wait()
	for _, n := range w.nodes {
		n.run(w.t)
	}
}

func (n *node) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	n.stop = func() {
		cancel()
		running.Wait()
	}
}

func (w *world) end() {
	for _, n := range w.nodes {
		n.stop()
	}
	synctest.Wait()
}

// watch lets time pass and looks at every step that whatever a node signs with is
// known to everybody who may see the token.
func (w *world) watch(length, step time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end) && !w.t.Failed(); {
		w.witness()
		elapse(step)
	}
}

func (w *world) witness() {
	w.t.Helper()
	synctest.Wait()
	now, maxAge := time.Now(), testTiming.MaxAge()
	everywhere := w.everywhere()
	maps.DeleteFunc(w.published, func(kid string, _ time.Time) bool { return !everywhere[kid] })
	for kid := range everywhere {
		if _, known := w.published[kid]; !known {
			w.published[kid] = now
		}
	}
	for i, n := range w.nodes {
		for _, purpose := range Purposes() {
			signer, err := n.Signer(purpose)
			if err != nil {
				continue
			}
			kid := signer.KeyID()
			if w.dropped[kid] {
				continue // the other nodes hear of it at their next turn
			}
			since, known := w.published[kid]
			if !known || now.Sub(since) < maxAge && since.Sub(w.began) > time.Minute && len(w.dropped) == 0 {
				w.t.Fatalf("after %s node %d signs with %s, which somebody may not have (published for %s)",
					now.Sub(w.began), i, kid, now.Sub(since))
			}
			w.lastSign[kid] = now
		}
	}
	for kid, signed := range w.lastSign {
		if !everywhere[kid] && !w.dropped[kid] && now.Sub(signed) < LongestLife+maxAge {
			w.t.Fatalf("after %s the key %s is gone, which signed %s ago", now.Sub(w.began), kid, now.Sub(signed))
		}
	}
}

// everywhere are the kids that every node publishes.
func (w *world) everywhere() map[string]bool {
	counts := make(map[string]int)
	for _, n := range w.nodes {
		for _, k := range n.Keys() {
			counts[k.Kid]++
		}
	}
	maps.DeleteFunc(counts, func(_ string, count int) bool { return count < len(w.nodes) })
	all := make(map[string]bool, len(counts))
	for kid := range counts {
		all[kid] = true
	}
	return all
}

// kids are those of a node that are in a state.
func (n *node) kids(purpose Purpose, state KeyState) []string {
	var kids []string
	for _, k := range n.Keys() {
		if k.Purpose == purpose && k.State == state {
			kids = append(kids, k.Kid)
		}
	}
	return slices.Sorted(slices.Values(kids))
}

// elapse lets time pass in the bubble of the test.
func elapse(length time.Duration) { <-time.After(length) }
