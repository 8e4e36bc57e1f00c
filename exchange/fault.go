package exchange

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// faultFirst is how long a server that refuses the gateway itself is left alone
	// for an exchange; it doubles with each further refusal, up to faultMost. Short at
	// first, so that a secret that was just mended is not in vain.
	faultFirst = time.Second
	faultMost  = 30 * time.Second
	// faultSubjects: so many different subjects are believed that it is the gateway's
	// client that is refused, where nothing says that the exchange works. Where it has
	// worked lately it takes refusedSubjects.
	faultSubjects = 2
)

// faults are exchanges whose server refuses the gateway's client, whoever is the
// caller. To ask again for each request would bring the same answer, and many a
// server locks a client that fails too often. Other exchanges at the same server go
// on: it may be the target that is wrong, and not the client.
//
// The zero value is ready to use.
type faults struct {
	mu    sync.Mutex
	known map[fingerprint]*fault
}

type fault struct {
	seen    []subject // whom it was seen with, until they are believed
	failure *Error
	wait    time.Duration // 0: they are not believed yet
	until   time.Time
}

// refusesClient tells whether a refusal is about the gateway's client: by its code, or by
// its status where it has none. Others may be about the caller, who must not be able to
// shut out everybody else.
func (e *Error) refusesClient() bool {
	switch e.ASCode {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type":
		return e.Outcome == OutcomeConfig
	case "":
		return e.Outcome == OutcomeConfig && (e.ASStatus == http.StatusUnauthorized || e.ASStatus == http.StatusForbidden)
	default:
		return false
	}
}

// find returns the refusal that still holds, nil if the server is to be asked. When
// its time is over, one request asks and the others wait for what comes of it.
func (f *faults) find(target fingerprint, now time.Time) *Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.known[target]
	switch {
	case known == nil || known.wait == 0:
		return nil
	case now.Before(known.until):
		return known.failure
	}
	known.until = now.Add(known.wait)
	return nil
}

// learn takes how a request ended. That one caller alone is refused proves nothing:
// there are servers that blame the client for a caller's token; nor do two while the
// exchange works for others, since both may be one person's. who is zero where nothing
// of the caller is sent.
func (f *faults) learn(target fingerprint, who subject, failure *Error, works bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if failure == nil || !failure.refusesClient() {
		delete(f.known, target)
		return
	}
	known := f.known[target]
	if known == nil {
		if f.known == nil || len(f.known) >= maxRecords { // reloads that change targets
			f.known = make(map[fingerprint]*fault)
		}
		known = new(fault)
		f.known[target] = known
	}
	if known.wait == 0 && !known.believe(who, works) {
		return
	}
	known.failure = failure
	known.wait = min(max(2*known.wait, faultFirst), faultMost)
	known.until = now.Add(known.wait)
}

// believe notes one more subject and tells whether they are enough.
func (f *fault) believe(who subject, works bool) bool {
	if who == (subject{}) {
		return true
	}
	if !slices.Contains(f.seen, who) {
		f.seen = append(f.seen, who)
	}
	return len(f.seen) >= believed(works)
}
