package exchange

import (
	"sync"
	"time"
)

const (
	// refusalHolds is how long a definitive refusal is believed: long enough to
	// spare the server a caller that retries, too short to notice after a right was
	// granted.
	refusalHolds = 10 * time.Second
	// maxRefusals bounds their memory.
	maxRefusals = 1024
)

// refusals are what servers said no to a moment ago, by the same keys as issued
// tokens: another token of the same user is another question. The zero value is
// ready to use.
type refusals struct {
	mu    sync.Mutex
	known map[cacheKey]refusal
	order []cacheKey // a ring; the oldest goes first
	next  int
}

type refusal struct {
	failure *Error
	until   time.Time
}

// definitive tells whether asking again would bring the same answer. It would not
// for what a login mends, nor for what says nothing of the caller.
func (o Outcome) definitive() bool {
	switch o {
	case OutcomeSubjectRejected, OutcomePolicyDenied, OutcomeInsufficientScope:
		return true
	default:
		return false
	}
}

// remember keeps a definitive refusal, never past the caller's token; a zero expiry
// bounds nothing.
func (r *refusals) remember(key cacheKey, failure *Error, now, expiry time.Time) {
	if !failure.Outcome.definitive() && !failure.settled {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known, r.order = make(map[cacheKey]refusal), make([]cacheKey, maxRefusals)
	}
	if _, known := r.known[key]; !known {
		delete(r.known, r.order[r.next])
		r.order[r.next] = key
		r.next = (r.next + 1) % maxRefusals
	}
	r.known[key] = refusal{failure: failure, until: earliest(now.Add(refusalHolds), expiry)}
}

// find returns a refusal that still holds, nil if there is none.
func (r *refusals) find(key cacheKey, now time.Time) *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.known[key]
	if !ok || !now.Before(found.until) {
		return nil
	}
	return found.failure
}

func (r *refusals) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.known)
}
