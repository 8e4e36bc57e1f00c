package exchange

import (
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Stats are what a memory of issued tokens has done since it was made.
type Stats struct {
	// Hits and Misses count callers whose token was at hand, and others.
	token.CacheStats

	// SharedHits and SharedMisses count those of the misses whose token another node
	// had, and others; SharedFailed those where nobody knows.
	SharedHits, SharedMisses, SharedFailed uint64
}

// Remembers tells whether tokens are kept at all. A transaction token is made for one
// request.
func (x *Exchanger) Remembers() bool {
	return x.state.issued != nil && (x.config.Local == nil || x.config.Local.Type != signing.TransactionTokens)
}

// Stats tells what the memory has done.
func (s *State) Stats() Stats {
	if s.issued == nil {
		return Stats{}
	}
	counted, callers := token.StatsOf(s.issued), s.counts.used.Snapshot()
	counted.Hits, counted.Misses, counted.Evictions = callers.Hits, callers.Misses, s.counts.evictions.Load()
	return Stats{
		CacheStats: counted,
		SharedHits: s.counts.sharedHits.Load(), SharedMisses: s.counts.sharedMisses.Load(), SharedFailed: s.counts.sharedFailed.Load(),
	}
}

// counts are those of one memory. The memory itself would count a look that is no
// caller's.
type counts struct {
	used                                   *token.Counts
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
