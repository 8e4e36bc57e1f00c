package introspection

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/caddy-gatehouse/gatehouse/internal/flight"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The bounds of what is remembered unless configured. The bytes are taken as they
// are needed.
const (
	DefaultCacheEntries = 100_000
	DefaultCacheBytes   = 64 << 20
)

// maxDenied bounds the memory of tokens that are not good. Anyone can make up
// such tokens, so it is small, and apart: they push no good one out.
const maxDenied = 10_000

// A cacheKey names one token at one server, asked by one client. All bytes of the
// token count.
type cacheKey struct {
	shape  [sha256.Size]byte
	digest token.Digest
	jwt    bool // read together with what the JWT says
}

// A flightKey keeps apart the flights before and after an eviction.
type flightKey struct {
	cacheKey

	generation uint64
}

// An entry is a good answer and when it was asked for.
type entry struct {
	token *token.Token
	asked time.Time
	life  time.Duration
}

// A denial says why a token is not good, and until when that is remembered.
type denial struct {
	reason token.Reason
	until  time.Time
}

// A State is what was learned of tokens by introspection, and the calls under
// way. It outlives configurations and holds no settings. It is safe for
// concurrent use.
type State struct {
	good    *otter.Cache[cacheKey, *entry]
	counts  *stats.Counter // of good
	denied  *otter.Cache[cacheKey, denial]
	flights flight.Board[flightKey, *token.Token]

	// evicting is held for reading while an answer is stored and for writing while
	// some are dropped, so that none slips in behind.
	evicting   sync.RWMutex
	generation atomic.Uint64

	// understood is when each server last answered a question of each client.
	mu         sync.Mutex
	understood map[[sha256.Size]byte]time.Time
}

// NewState makes a state that remembers at most that many good tokens and about
// that many bytes of them.
func NewState(maxEntries int, maxBytes int64) *State {
	// Each entry weighs at least its share, so that one bound holds both.
	share := uint64(maxBytes) / uint64(max(maxEntries, 1)) //nolint:gosec // both are positive
	counts := stats.NewCounter()
	return &State{
		counts:     counts,
		understood: make(map[[sha256.Size]byte]time.Time),
		good: otter.Must(&otter.Options[cacheKey, *entry]{
			MaximumWeight: uint64(maxBytes), //nolint:gosec // positive
			StatsRecorder: counts,
			Executor:      token.Upkeep(),
			Weigher: func(_ cacheKey, kept *entry) uint32 {
				return uint32(min(max(kept.token.Weight(), share), 1<<30))
			},
			ExpiryCalculator: otter.ExpiryWritingFunc(func(stored otter.Entry[cacheKey, *entry]) time.Duration {
				return max(stored.Value.life, time.Nanosecond)
			}),
		}),
		denied: otter.Must(&otter.Options[cacheKey, denial]{
			MaximumSize:      maxDenied,
			Executor:         token.Upkeep(),
			ExpiryCalculator: otter.ExpiryWriting[cacheKey, denial](deniedTTL),
		}),
	}
}

// Close forgets everything and ends the goroutines of the memory. A call that
// still runs ends by itself.
func (s *State) Close() {
	s.EvictAll()
	s.good.StopAllGoroutines()
	s.denied.StopAllGoroutines()
}

// CleanUp brings the bounds into force now; they come by themselves in time.
func (s *State) CleanUp() {
	s.good.CleanUp()
	s.denied.CleanUp()
}

// Len is about how many good tokens are remembered.
func (s *State) Len() int { return s.good.EstimatedSize() }

// Stats tells what the memory of good tokens has done.
func (s *State) Stats() token.CacheStats { return token.StatsOf(s.good) }

// Outdate keeps what is being asked just now from being remembered: an answer that is
// under way may be older than the reason to forget. It costs next to nothing, whatever
// is remembered.
func (s *State) Outdate() {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	s.generation.Add(1)
}

// Evict is Outdate and Sweep.
func (s *State) Evict(match func(*token.Token) bool) int {
	s.Outdate()
	return s.Sweep(match)
}

// Sweep forgets the good tokens that match, and returns how many. It looks at every
// token. Whoever is answered from memory is held against the list of revocations all
// the same: this frees memory.
func (s *State) Sweep(match func(*token.Token) bool) int {
	evicted := 0
	for key, kept := range s.good.All() {
		if match(kept.token) {
			s.good.Invalidate(key)
			evicted++
		}
	}
	return evicted
}

// Count tells how many good tokens Sweep would forget. It changes nothing.
func (s *State) Count(match func(*token.Token) bool) int {
	found := 0
	for _, kept := range s.good.All() {
		if match(kept.token) {
			found++
		}
	}
	return found
}

// EvictAll forgets everything.
func (s *State) EvictAll() {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	s.generation.Add(1)
	s.good.InvalidateAll()
	s.denied.InvalidateAll()
}

// get returns a good token that was asked about no longer than ttl ago and has
// not expired, or why it was denied a moment ago.
func (s *State) get(key cacheKey, now time.Time, ttl time.Duration) (found *token.Token, denied token.Reason) {
	if ttl <= 0 {
		return nil, ""
	}
	if kept, ok := token.Recall(s.good, s.counts, key); ok && now.Before(kept.asked.Add(ttl)) && now.Before(kept.token.Expiry) {
		return kept.token, ""
	}
	if known, ok := s.denied.GetIfPresent(key); ok && now.Before(known.until) {
		return nil, known.reason
	}
	return nil, ""
}

// put remembers a good answer unless something was evicted since it was asked.
func (s *State) put(key flightKey, answered *entry, ttl time.Duration, now time.Time) {
	end := answered.asked.Add(ttl)
	if answered.token.Expiry.Before(end) {
		end = answered.token.Expiry
	}
	if answered.life = end.Sub(now); answered.life <= 0 {
		return
	}
	s.evicting.RLock()
	defer s.evicting.RUnlock()
	if s.generation.Load() == key.generation {
		s.denied.Invalidate(key.cacheKey)
		s.good.Set(key.cacheKey, answered)
	}
}

// deny remembers that a token is not good, whatever was known of it.
func (s *State) deny(key flightKey, denied denial, now time.Time) {
	s.evicting.RLock()
	defer s.evicting.RUnlock()
	s.good.Invalidate(key.cacheKey)
	if now.Before(denied.until) {
		s.denied.Set(key.cacheKey, denied)
	}
}

// answered remembers that a server understood a client's question.
func (s *State) answered(shape [sha256.Size]byte, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.understood[shape] = now
	for other, last := range s.understood { // of configurations that are gone
		if now.Sub(last) >= provenFor {
			delete(s.understood, other)
		}
	}
}

// proven tells whether the server understood the client's questions not long ago.
func (s *State) proven(shape [sha256.Size]byte, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.understood[shape]
	return ok && now.Sub(last) < provenFor
}
