package exchange

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2/stats"
)

// Stats are what a memory of issued tokens has done since it was made.
type Stats struct {
	// Entries and Bytes are about what it holds, MaxBytes what it may.
	Entries         int
	Bytes, MaxBytes uint64
	// Hits and Misses count callers whose token was at hand, and others.
	Hits, Misses uint64
	// Evictions is how many tokens had to go before their time for want of room.
	Evictions uint64
	// SharedHits and SharedMisses count those of the misses whose token another node
	// had, and others; SharedFailed those where nobody knows.
	SharedHits, SharedMisses, SharedFailed uint64
}

// Stats tells what the memory has done.
func (s *State) Stats() Stats {
	if s.issued == nil {
		return Stats{}
	}
	counted := s.counts.used.Snapshot()
	return Stats{
		Entries: s.issued.EstimatedSize(), Bytes: s.issued.WeightedSize(), MaxBytes: s.issued.GetMaximum(),
		Hits: counted.Hits, Misses: counted.Misses, Evictions: s.counts.evictions.Load(),
		SharedHits: s.counts.sharedHits.Load(), SharedMisses: s.counts.sharedMisses.Load(), SharedFailed: s.counts.sharedFailed.Load(),
	}
}

// counts are those of one memory. The memory itself would count a look that is no
// caller's.
type counts struct {
	used                                   *stats.Counter
	evictions                              atomic.Uint64
	sharedHits, sharedMisses, sharedFailed atomic.Uint64
}

// RecordHits implements stats.Recorder.
func (*counts) RecordHits(int) {}

// RecordMisses implements stats.Recorder.
func (*counts) RecordMisses(int) {}

// RecordEviction implements stats.Recorder.
func (c *counts) RecordEviction(uint32) { c.evictions.Add(1) }

// RecordLoadSuccess implements stats.Recorder.
func (*counts) RecordLoadSuccess(time.Duration) {}

// RecordLoadFailure implements stats.Recorder.
func (*counts) RecordLoadFailure(time.Duration) {}

func (c *counts) shared(outcome SharedOutcome) {
	switch outcome {
	case SharedStored: // by nobody who looked for it
	case SharedHit:
		c.sharedHits.Add(1)
	case SharedMiss:
		c.sharedMisses.Add(1)
	case SharedUnreadable, SharedError, SharedSkipped:
		c.sharedFailed.Add(1)
	}
}
