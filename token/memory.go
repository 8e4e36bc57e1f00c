package token

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
)

// noted is of how many uses of a memory's entry one is noted, for the choice of what goes
// when there is no room.
const noted = 8

// Recall looks for an entry and counts whether it was found. To note each use takes longer
// than to find the entry, and that of one in eight tells those that are used much from the
// others as well.
func Recall[K comparable, V any](memory *otter.Cache[K, V], counts stats.Recorder, key K) (value V, found bool) {
	if rand.Uint32()%noted == 0 { //nolint:gosec // spreads load
		return memory.GetIfPresent(key)
	}
	entry, found := memory.GetEntryQuietly(key)
	if found {
		counts.RecordHits(1)
	} else {
		counts.RecordMisses(1)
	}
	return entry.Value, found
}

// Counts count what is looked for. A hit that a shortcut led to costs one addition: a
// Counter is made for more writers than cores, and costs a request as much as the shortcut.
type Counts struct {
	*stats.Counter

	straight atomic.Uint64
}

// NewCounts makes counts that stand at zero.
func NewCounts() *Counts { return &Counts{Counter: stats.NewCounter()} }

// Straight counts a hit that a shortcut led to.
func (c *Counts) Straight() { c.straight.Add(1) }

// Snapshot implements stats.Snapshoter.
func (c *Counts) Snapshot() stats.Stats {
	counted := c.Counter.Snapshot()
	counted.Hits += c.straight.Load()
	return counted
}

// CacheStats are what a memory of tokens has done since it was made.
type CacheStats struct {
	// Entries and Bytes are about what it holds, MaxBytes what it may.
	Entries         int
	Bytes, MaxBytes uint64
	// Hits and Misses count the tokens that were looked for.
	Hits, Misses uint64
	// Evictions is how many had to go before their time for want of room.
	Evictions uint64
}

// StatsOf tells what a memory has done that counts for itself and weighs bytes.
func StatsOf[K comparable, V any](memory *otter.Cache[K, V]) CacheStats {
	counted := memory.Stats()
	return CacheStats{
		Entries: memory.EstimatedSize(), Bytes: memory.WeightedSize(), MaxBytes: memory.GetMaximum(),
		Hits: counted.Hits, Misses: counted.Misses, Evictions: counted.Evictions,
	}
}
