package gatehouse

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// clearPause is the least time between two passes over what is kept of tokens.
	clearPause = time.Second
	// clearShare is how many times longer than a pass the pause behind it is: all of
	// them together take a twentieth of a core at most, however much is remembered.
	clearShare = 19
)

// A clearing is the passes over what is kept of tokens: one for all revocations that
// came in since the last one. A pass looks at everything, and a client that may revoke
// its own tokens would otherwise have every node do so as often as it likes, while
// operators wait for their turn. Nobody is let in meanwhile: each request is held
// against the list, and what is under way is kept from being stored at once.
type clearing struct {
	wake   chan struct{}
	events atomic.Int64 // that no pass was made for
	passes atomic.Int64

	mu sync.Mutex // one pass at a time
}

// told is what a revocation does before whoever revoked hears of it.
func (d *derived) told(batch *revocation.Batch) {
	answered, issued := d.states()
	for _, state := range answered {
		state.Outdate()
	}
	for _, state := range issued {
		state.Outdate()
	}
	d.due.events.Add(int64(len(batch.Events)))
	select {
	case d.due.wake <- struct{}{}:
	default: // somebody has woken it already
	}
}

// clearRevoked clears behind revocations until ctx ends.
func (d *derived) clearRevoked(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.due.wake:
		}
		began := time.Now()
		d.clear(log)
		rest := time.NewTimer(max(clearPause, clearShare*time.Since(began)))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
	}
}

// clear makes a pass, where there is something to clear.
func (d *derived) clear(log *slog.Logger) {
	d.due.mu.Lock()
	defer d.due.mu.Unlock()
	events := d.due.events.Swap(0)
	if events == 0 {
		return
	}
	d.due.passes.Add(1)
	// What the list refuses, by whichever event: so nothing has to be kept for the pass.
	counts := d.sweep(evicting, func(t *token.Token) bool { return d.revoked.Revoked(t) != nil }, d.revoked.Covers)
	log.Debug("cleared what was derived from revoked tokens", "events", events,
		derivedRemembered, counts[derivedRemembered], derivedAnswers, counts[derivedAnswers], derivedIssued, counts[derivedIssued])
}
