package exchange

import (
	"sync"
	"time"
)

// toldEach is how often operators are told at most that one exchange is misconfigured:
// a server may blame the request for what a caller's token lacks.
const toldEach = time.Minute

// A Summary is what is remembered of an exchange: how requests for tokens ended, those
// that are minted here and those that were at hand excepted. It names no caller.
type Summary struct {
	// Local tells that tokens are minted here, so that nobody is asked.
	Local bool
	// Servers are the hosts that are asked, one for each leg.
	Servers []string
	// Succeeded is when a server issued a token last, zero if it never did.
	Succeeded time.Time
	// Outcome is how the newest request ended, at Ended; "" if there was none.
	Outcome Outcome
	Ended   time.Time
	// Code is the error code that the server answered then, "" if it was none.
	Code string
	// Leg is which of several requests failed then, counted from one.
	Leg int
	// Misconfigured tells that the newest request that said anything of it was refused
	// because of the gateway itself, or of what it asks for.
	Misconfigured bool
	// Issued and Failed are how many requests ended so.
	Issued, Failed uint64
}

// Summary tells what is remembered. It asks nobody.
func (x *Exchanger) Summary() Summary {
	summary := x.state.ends.read()
	summary.Local = x.config.Local != nil
	for _, leg := range x.legs {
		host := ""
		if named, ok := leg.Client.(interface{ Host() string }); ok {
			host = named.Host()
		}
		if host != "" {
			summary.Servers = append(summary.Servers, host)
		}
	}
	return summary
}

// ends are how requests for tokens ended. The zero value is ready to use. It is asked
// where a server was, and so never for a token that was at hand.
type ends struct {
	mu      sync.Mutex
	summary Summary
	told    time.Time
}

func (e *ends) read() Summary {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.summary
}

// note takes how a request ended, nil for well, and tells whether operators should hear
// that the exchange is misconfigured. They do once, and again only after it worked.
func (e *ends) note(failure *Error, now time.Time) (news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if failure != nil && failure.Outcome == OutcomeCanceled {
		return false
	}
	e.summary.Ended = now
	if failure == nil {
		e.summary.Succeeded, e.summary.Misconfigured = now, false
		e.summary.Outcome, e.summary.Code, e.summary.Leg = OutcomeOK, "", 0
		e.summary.Issued++
		return false
	}
	e.summary.Failed++
	e.summary.Outcome, e.summary.Code, e.summary.Leg = failure.Outcome, failure.ASCode, failure.Leg
	if failure.Outcome != OutcomeConfig {
		return false // it says nothing of that
	}
	turned := !e.summary.Misconfigured
	e.summary.Misconfigured = true
	if !turned || !e.told.IsZero() && now.Sub(e.told) < toldEach {
		return false
	}
	e.told = now
	return true
}
