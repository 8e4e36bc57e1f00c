package exchange

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-gatehouse/gatehouse/internal/flight"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The bounds of the memory of issued tokens unless configured. The bytes are
// taken as they are needed.
const (
	DefaultCacheEntries = 100_000
	DefaultCacheBytes   = 128 << 20
)

// A State is what one exchange has learned: the tokens issued, the calls under
// way and what has worked lately. It outlives configurations and holds no
// settings. It is safe for concurrent use.
type State struct {
	keys    *keyMaker
	issued  *otter.Cache[cacheKey, *entry] // nil: nothing is kept
	shares  *shares                        // of issued
	floor   uint64                         // what an entry weighs at least
	flights flight.Board[cacheKey, *Issued]
	memory  memory
	faults  faults
	pauses  pauses
	ends    ends
	counts  *counts

	refusals    refusals
	generations generations
}

// An entry is an issued token that may be used again by the same caller for the
// same request.
type entry struct {
	issued *Issued
	// freshUntil is when a new one is asked for, keepUntil when this one is no
	// longer good. Between the two it serves if the server is down.
	freshUntil, keepUntil time.Time
	// life is how long to keep it from when it was stored on.
	life time.Duration
	// renewAt is when the next request asks for a new one ahead of time, in
	// nanoseconds since 1970.
	renewAt atomic.Int64
	origin  Origin
	owner   subject // whose share it is in
	second  secondPlace

	// For the shortcut: how often it was used, and whether the memory has let it go.
	uses token.Uses
	gone atomic.Bool
}

// A secondPlace is where other nodes find the same token, zero: they do not.
type secondPlace struct {
	level *SecondLevel
	name  secondName
}

// NewState makes a state that keeps at most that many issued tokens and about
// that many bytes of them. With no entries it keeps none: each request is an
// exchange of its own, but for those that run at the same time for the same
// caller.
func NewState(maxEntries int, maxBytes int64) *State {
	state := &State{keys: newKeyMaker(), counts: &counts{used: token.NewCounts()}}
	if maxEntries <= 0 || maxBytes <= 0 {
		return state
	}
	// Each entry weighs at least its part, so that one bound holds both.
	state.floor = uint64(maxBytes) / uint64(maxEntries)
	state.shares = newShares(maxEntries, maxBytes)
	state.issued = otter.Must(&otter.Options[cacheKey, *entry]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(_ cacheKey, kept *entry) uint32 { return uint32(state.weigh(kept)) }, //nolint:gosec // bounded
		ExpiryCalculator: otter.ExpiryWritingFunc(func(stored otter.Entry[cacheKey, *entry]) time.Duration {
			return max(stored.Value.life, time.Nanosecond)
		}),
		StatsRecorder: state.counts,
		Executor:      token.Upkeep(),
		OnAtomicDeletion: func(gone otter.DeletionEvent[cacheKey, *entry]) {
			gone.Value.gone.Store(true)
			state.shares.remove(gone.Value)
		},
	})
	return state
}

func (s *State) weigh(kept *entry) uint64 {
	return min(max(kept.issued.weight()+kept.origin.weight(), s.floor), 1<<30)
}

// Close forgets all issued tokens and ends the goroutines of the memory. An
// exchange that still runs ends by itself.
func (s *State) Close() {
	if s.issued != nil {
		s.issued.InvalidateAll()
		s.issued.StopAllGoroutines()
	}
}

// Len is about how many issued tokens are kept.
func (s *State) Len() int {
	if s.issued == nil {
		return 0
	}
	return s.issued.EstimatedSize()
}

// keep stores an issued token as far as its life lets it be used again, unless
// something was evicted since the call for it began.
func (s *State) keep(key cacheKey, issued *Issued, life lifetime, now time.Time, origin Origin, generation uint64) {
	s.keepEntry(key, newEntry(issued, life, now, origin), generation)
}

// newEntry is what is to be kept of an issued token, nil if it is due to be replaced.
func newEntry(issued *Issued, life lifetime, now time.Time, origin Origin) *entry {
	if !now.Before(life.freshUntil) {
		return nil
	}
	kept := &entry{
		issued: issued.reused(), freshUntil: life.freshUntil, keepUntil: life.keepUntil,
		life: life.keepUntil.Sub(now), origin: origin, owner: origin.owner(),
	}
	kept.renewAt.Store(life.renewAt().UnixNano())
	return kept
}

// keepEntry tells whether it was stored. There may be nothing to store.
func (s *State) keepEntry(key cacheKey, kept *entry, generation uint64) bool {
	if kept == nil {
		return false
	}
	s.generations.mu.RLock()
	defer s.generations.mu.RUnlock()
	if s.generations.number != generation {
		return false
	}
	s.put(key, kept)
	return true
}

// fresh returns what may be used without asking, nil if there is nothing.
func (s *State) fresh(key cacheKey, now time.Time) *Issued {
	if kept := s.freshEntry(key, now); kept != nil {
		return kept.issued
	}
	return nil
}

func (s *State) freshEntry(key cacheKey, now time.Time) *entry {
	if kept := s.get(key); kept != nil && now.Before(kept.freshUntil) {
		return kept
	}
	return nil
}

// drop forgets one token if it is still the one that is kept.
func (s *State) drop(key cacheKey, issued *Issued) {
	if kept := s.get(key); kept != nil && kept.issued.Token.Digest() == issued.Token.Digest() {
		s.issued.Invalidate(key)
	}
}

// stale returns what is still good although a new one was due, nil if there is
// nothing.
func (s *State) stale(key cacheKey, now time.Time) *Issued {
	if kept := s.get(key); kept != nil && now.Before(kept.keepUntil) {
		return kept.issued
	}
	return nil
}

// markReplaced notes at the token that is kept that it replaced a refused one.
func (s *State) markReplaced(key cacheKey, issued *Issued) {
	kept := s.get(key)
	if kept == nil || kept.issued.Token.Digest() != issued.Token.Digest() {
		return
	}
	marked := &entry{
		issued: issued.reused(), freshUntil: kept.freshUntil, keepUntil: kept.keepUntil, life: kept.life,
		origin: kept.origin, owner: kept.owner, second: kept.second,
	}
	marked.renewAt.Store(kept.renewAt.Load())
	s.issued.ComputeIfPresent(key, func(current *entry) (*entry, otter.ComputeOp) {
		if current != kept {
			return nil, otter.CancelOp
		}
		s.shares.add(key, marked, s.weigh(marked)) // in the place of the other
		return marked, otter.WriteOp
	})
}

func (s *State) get(key cacheKey) *entry {
	if s.issued == nil {
		return nil
	}
	kept, _ := token.Recall(s.issued, s.counts, key)
	return kept
}

func (s *State) put(key cacheKey, kept *entry) {
	if s.issued == nil {
		return
	}
	var over []cacheKey
	s.issued.Compute(key, func(*entry, bool) (*entry, otter.ComputeOp) {
		over = s.shares.add(key, kept, s.weigh(kept))
		return kept, otter.WriteOp
	})
	for _, oldest := range over {
		s.issued.Invalidate(oldest)
	}
}
