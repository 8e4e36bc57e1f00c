package admin

import (
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/exchange"
)

// cacheState is one memory of what was learned of tokens.
type cacheState struct {
	// Kind is remembered_tokens, introspection_answers, issued_tokens or
	// shared_issued_tokens; Exchange is the exchange of the last two.
	Kind     string `json:"kind"`
	Exchange string `json:"exchange,omitempty"`
	// Entries and Bytes are about what it holds, MaxBytes what it may. What nodes share
	// has none: it lies in the store.
	Entries  int    `json:"entries"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes uint64 `json:"max_bytes,omitempty"`
	Hits     uint64 `json:"hits"`
	Misses   uint64 `json:"misses"`
	// HitRate is the part of the looks that found something, absent before the first.
	HitRate *float64 `json:"hit_rate,omitempty"`
	// Evictions is how many entries had to go before their time for want of room.
	Evictions uint64 `json:"evictions"`
	// Failures is how often the store could not be asked.
	Failures uint64 `json:"failures,omitempty"`
}

func (cacheState) troubled() bool { return false }

func cachesOf(app Operated) []cacheState {
	caches := app.Caches()
	all := make([]cacheState, 0, len(caches))
	for _, one := range caches {
		shown := cacheState{
			Kind: one.Kind, Exchange: one.Name, Entries: one.Entries, Bytes: one.Bytes, MaxBytes: one.MaxBytes,
			Hits: one.Hits, Misses: one.Misses, Evictions: one.Evictions, Failures: one.Failures,
		}
		if looks := one.Hits + one.Misses; looks > 0 {
			rate := float64(one.Hits) / float64(looks)
			shown.HitRate = &rate
		}
		all = append(all, shown)
	}
	return all
}

// The states of a breaker.
const (
	breakerClosed   = "closed"
	breakerOpen     = "open"
	breakerHalfOpen = "half_open"
)

// breakerState is one endpoint of an authorization server.
type breakerState struct {
	Server   string `json:"server"`
	Endpoint string `json:"endpoint"`
	// State is closed, open or half_open: one call tries whether it answers again.
	State string `json:"state"`
	// Reason is what opened it last: timeout, unreachable, or status_503 and the like.
	Reason string `json:"reason,omitempty"`
	// Until is when the next call may try.
	Until time.Time `json:"until,omitzero"`
}

func (s breakerState) troubled() bool { return s.State != breakerClosed }

// name tells which endpoint it is: that of discovery has no address of its own.
func (s breakerState) name() string {
	if s.Server == "" || strings.Contains(s.Endpoint, "://") {
		return s.Endpoint
	}
	return s.Endpoint + " of " + s.Server
}

func breakersOf(app Operated) []breakerState {
	breakers := app.Breakers()
	all := make([]breakerState, 0, len(breakers))
	for _, one := range breakers {
		shown := breakerState{Server: one.Server, Endpoint: one.URL, State: breakerClosed, Reason: one.Cause, Until: utc(one.Until)}
		switch {
		case one.Open:
			shown.State = breakerOpen
		case one.Probing:
			shown.State = breakerHalfOpen
		}
		all = append(all, shown)
	}
	return all
}

// exchangeState is one exchange, and what is remembered of it. Tokens that were at hand
// are in its cache's counts and in none of these.
type exchangeState struct {
	Name  string `json:"name"`
	Place string `json:"place,omitempty"`
	// Local tells that tokens are minted here, so that nobody is asked.
	Local bool `json:"local,omitempty"`
	// Servers are the hosts that are asked, one for each leg.
	Servers []string `json:"servers,omitempty"`
	// EverSucceeded tells whether a server ever issued a token, LastSuccess when last.
	EverSucceeded bool      `json:"ever_succeeded"`
	LastSuccess   time.Time `json:"last_success,omitzero"`
	// LastOutcome is how the newest request ended, LastErrorCode what the server said
	// then, LastLeg which of several requests failed.
	LastOutcome   string    `json:"last_outcome,omitempty"`
	LastRequest   time.Time `json:"last_request,omitzero"`
	LastErrorCode string    `json:"last_error_code,omitempty"`
	LastLeg       int       `json:"last_leg,omitempty"`
	// Misconfigured tells that the server refuses the gateway itself or what it asks for.
	Misconfigured bool   `json:"misconfigured"`
	Issued        uint64 `json:"issued"`
	Failed        uint64 `json:"failed"`
}

func (s exchangeState) troubled() bool { return s.Misconfigured || s.serverFails() }

// serverFails tells whether the newest request ended for a reason that no caller has.
func (s exchangeState) serverFails() bool {
	switch exchange.Outcome(s.LastOutcome) {
	case exchange.OutcomeServerDown, exchange.OutcomeTimeout, exchange.OutcomeBadAnswer, exchange.OutcomeFault:
		return true
	default:
		return false
	}
}

func exchangesOf(app Operated) []exchangeState {
	exchanges := app.Exchanged()
	all := make([]exchangeState, 0, len(exchanges))
	for i := range exchanges {
		one := &exchanges[i]
		all = append(all, exchangeState{
			Name: one.Label, Place: one.Place, Local: one.Local, Servers: one.Servers,
			EverSucceeded: !one.Succeeded.IsZero(), LastSuccess: utc(one.Succeeded),
			LastOutcome: string(one.Outcome), LastRequest: utc(one.Ended), LastErrorCode: one.Code, LastLeg: one.Leg,
			Misconfigured: one.Misconfigured, Issued: one.Issued, Failed: one.Failed,
		})
	}
	return all
}
