package exchange

import (
	"sync"
	"time"
)

const (
	// faultFirst is how long a server that refuses the gateway itself is left alone
	// for an exchange; it doubles with each further refusal, up to faultMost. Short at
	// first, so that a secret that was just mended is not in vain.
	faultFirst = time.Second
	faultMost  = 30 * time.Second
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
	who     subject // the first one it was seen with
	failure *Error
	wait    time.Duration // 0: one caller alone was refused
	until   time.Time
}

// refusesClient tells whether a refusal is about the gateway's client by its code.
// Others may be about the caller, who must not be able to shut out everybody else.
func (e *Error) refusesClient() bool {
	switch e.ASCode {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type":
		return e.Outcome == OutcomeConfig
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
// there are servers that blame the client for a caller's token. who is zero where
// nothing of the caller is sent.
func (f *faults) learn(target fingerprint, who subject, failure *Error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if failure == nil || !failure.refusesClient() {
		delete(f.known, target)
		return
	}
	known := f.known[target]
	switch {
	case known == nil:
		if f.known == nil || len(f.known) >= maxRecords { // reloads that change targets
			f.known = make(map[fingerprint]*fault)
		}
		known = &fault{who: who}
		f.known[target] = known
		if who != (subject{}) {
			return
		}
	case known.wait == 0 && known.who == who:
		return
	}
	known.failure = failure
	known.wait = min(max(2*known.wait, faultFirst), faultMost)
	known.until = now.Add(known.wait)
}
