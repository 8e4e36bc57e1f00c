package token

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A verified entry is a token, what its signature was checked with and how its
// claims were read: it is good only while that key is still the issuer's and the
// issuer's claims lie where they lay, and while what opened it still may.
type verified struct {
	token *Token
	key   *jose.Key
	alg   jose.Algorithm
	shape string // of the ClaimPaths
	// opener is the ID of the keys that opened the token, "" if it was not encrypted.
	opener string

	// For those who need not look here: how often, and whether the cache has let it go.
	uses Uses
	gone atomic.Bool
}

// A Cache remembers verified tokens by the SHA-256 of all their bytes, so that a
// token presented again costs no cryptography. It holds no raw token, never
// outlives exp, and leaves every check but the signature to the verifier. It is bounded in entries
// and bytes, and safe for concurrent use.
type Cache struct {
	entries *otter.Cache[Digest, *verified]
	counts  *Counts
}

// NewCache makes a cache for that many entries and bytes.
func NewCache(maxEntries int, maxBytes int64) *Cache {
	// Each entry weighs at least its share, so that the number is bounded by the
	// same count as the bytes; rounded up, so that not even one more fits.
	entries := uint64(max(maxEntries, 1))
	share := (uint64(maxBytes) + entries - 1) / entries //nolint:gosec // positive
	counts := NewCounts()
	return &Cache{counts: counts, entries: otter.Must(&otter.Options[Digest, *verified]{
		MaximumWeight:    uint64(maxBytes), //nolint:gosec // positive
		StatsRecorder:    counts,
		Executor:         Upkeep(),
		OnAtomicDeletion: func(let otter.DeletionEvent[Digest, *verified]) { let.Value.gone.Store(true) },
		Weigher: func(_ Digest, entry *verified) uint32 {
			return uint32(min(max(weigh(entry.token), share), 1<<30))
		},
		ExpiryCalculator: otter.ExpiryCreatingFunc(func(entry otter.Entry[Digest, *verified]) time.Duration {
			return max(time.Until(entry.Value.token.Expiry), time.Nanosecond)
		}),
	})}
}

// Close forgets everything and ends the cache's goroutines.
func (c *Cache) Close() {
	c.entries.InvalidateAll()
	c.entries.StopAllGoroutines()
}

// CleanUp brings the bounds into force now; they come by themselves in time.
func (c *Cache) CleanUp() { c.entries.CleanUp() }

// Len is about how many tokens are remembered.
func (c *Cache) Len() int { return c.entries.EstimatedSize() }

// Stats tells what the cache has done.
func (c *Cache) Stats() CacheStats { return StatsOf(c.entries) }

// Evict forgets the tokens that match, and returns how many. Every check but the
// signature runs on each request anyway: this frees memory. It looks at every token.
func (c *Cache) Evict(match func(*Token) bool) int {
	evicted := 0
	for digest, entry := range c.entries.All() {
		if match(entry.token) {
			c.entries.Invalidate(digest)
			evicted++
		}
	}
	return evicted
}

// Count tells how many tokens Evict would forget. It changes nothing.
func (c *Cache) Count(match func(*Token) bool) int {
	found := 0
	for _, entry := range c.entries.All() {
		if match(entry.token) {
			found++
		}
	}
	return found
}

func (c *Cache) get(digest Digest) *verified {
	if c == nil {
		return nil
	}
	entry, _ := Recall(c.entries, c.counts, digest)
	return entry
}

func (c *Cache) put(digest Digest, entry *verified) {
	if c != nil {
		c.entries.Set(digest, entry)
	}
}

// tokenOverhead estimates what a remembered token costs beside its claims.
const tokenOverhead = 1152

// weigh estimates the bytes that a token occupies, and the one that it was asked about.
func weigh(t *Token) uint64 {
	weight := tokenOverhead + uint64(t.Claims.Size()) //nolint:gosec // positive
	if t.JWT != nil {
		weight += weigh(t.JWT)
	}
	return weight
}
