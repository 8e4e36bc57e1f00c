package exchange

import (
	"sync"
	"time"
)

// pauses are exchanges whose server asked to be left alone for a while (429, slow_down,
// temporarily_unavailable). Until then it is not asked: to go on would only amplify what
// it suffers from. Some servers count each user's requests for themselves, so that one
// caller alone waits until others were told the same, as with faults.
//
// The zero value is ready to use.
type pauses struct {
	mu    sync.Mutex
	known map[fingerprint]*paused
}

type paused struct {
	failure *Error
	all     time.Time             // until when nobody asks, zero: callers do
	told    map[subject]time.Time // those who were told to wait, and until when
}

// find returns the refusal that still holds for this caller, with what is left of the
// wait; nil if the server is to be asked.
func (p *pauses) find(target fingerprint, who subject, now time.Time) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[target]
	if known == nil {
		return nil
	}
	until := known.all
	if own := known.told[who]; own.After(until) {
		until = own
	}
	if !now.Before(until) {
		return nil
	}
	left := *known.failure
	// The header has whole seconds.
	left.RetryAfter = (until.Sub(now) + time.Second - 1).Truncate(time.Second)
	return &left
}

// learn takes a request that ended with the wish for a pause. who is zero where nothing of
// the caller is sent; works tells that the exchange has worked for others lately.
func (p *pauses) learn(target fingerprint, who subject, failure *Error, works bool, now time.Time) {
	if failure == nil || !failure.pauses {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[target]
	if known == nil {
		if p.known == nil || len(p.known) >= maxRecords { // reloads that change targets
			p.known = make(map[fingerprint]*paused)
		}
		known = &paused{told: make(map[subject]time.Time)}
		p.known[target] = known
	}
	until := now.Add(failure.RetryAfter)
	known.failure = failure
	known.note(who, until, now)
	if len(known.told) >= believed(works) || who == (subject{}) {
		known.all = until
		clear(known.told) // so that there are never more than a few
	}
}

func (p *paused) note(who subject, until, now time.Time) {
	for other, ends := range p.told {
		if !now.Before(ends) {
			delete(p.told, other)
		}
	}
	p.told[who] = until
}

// believed is how many different subjects it takes until what a server says of each is
// taken to be about the gateway.
func believed(works bool) int {
	if works {
		return refusedSubjects
	}
	return faultSubjects
}
