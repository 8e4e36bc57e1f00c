package limit

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// again is how long a store that failed is left alone. Then one request asks it, and the
// others do not wait for what it says.
const again = time.Second

// Shared is the count that all nodes have in common, as far as the store that holds it
// answers. A nil Shared is none: limits count in this process.
type Shared struct {
	rates store.Rates
	log   *slog.Logger
	alone func() // is told of each request that is counted here alone

	lost  atomic.Bool
	start time.Time
	retry atomic.Int64 // when the store is asked again, from start on
}

// NewShared counts in the store. alone is called for each request that is counted in this
// process, because the store does not answer; it may be nil. A store that is nil makes
// none.
func NewShared(rates store.Rates, log *slog.Logger, alone func()) *Shared {
	if rates == nil {
		return nil
	}
	if alone == nil {
		alone = func() {}
	}
	return &Shared{rates: rates, log: log, alone: alone, start: time.Now()}
}

// take asks the store. known is false where this process has to count by itself.
func (s *Shared) take(ctx context.Context, key string, rate store.Rate) (taken store.Taken, known bool) {
	if s == nil {
		return store.Taken{}, false
	}
	if s.lost.Load() && !s.due() {
		s.alone()
		return store.Taken{}, false
	}
	taken, err := s.rates.Take(ctx, Purpose, key, rate)
	switch {
	case err == nil:
		if s.lost.CompareAndSwap(true, false) {
			s.log.InfoContext(ctx, "limits count on all nodes together again")
		}
		return taken, true
	case ctx.Err() == nil || !errors.Is(err, ctx.Err()):
		// The store, and not a caller that went away.
		s.retry.Store(int64(time.Since(s.start) + again))
		if s.lost.CompareAndSwap(false, true) {
			s.log.WarnContext(ctx, "limits count on each node alone: the store does not answer", "cause", err.Error())
		}
	}
	s.alone()
	return store.Taken{}, false
}

// due is true for one request in each turn.
func (s *Shared) due() bool {
	before, now := s.retry.Load(), int64(time.Since(s.start))
	return now >= before && s.retry.CompareAndSwap(before, now+int64(again))
}
