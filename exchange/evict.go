package exchange

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// An Origin says for whom a token was issued: what a revocation may name. The
// caller's token itself is not kept.
type Origin struct {
	// Issuer, Subject, Client and ID are claims of the caller's token: iss, sub,
	// client_id or azp, jti. Session is its sid, "" if absent. Sub is its sub where
	// Subject was read from another claim, else "".
	Issuer, Subject, Client, ID, Session, Sub string
	// KeyID is the kid that signed it, IssuedAt its iat, zero if absent.
	KeyID    string
	IssuedAt time.Time
	// Essence and Inner name the caller's token.
	Essence, Inner token.Digest
	// Ancestry is what the caller's token was derived from; see Config.Ancestry.
	Ancestry []byte
}

// originOf copies what is needed: parts of the token's own text would keep all of
// it in memory.
func originOf(caller *token.Token) Origin {
	if caller == nil {
		return Origin{}
	}
	session, _ := caller.Claims.Text("sid")
	sub, _ := caller.Claims.Text("sub")
	if sub == caller.Subject {
		sub = ""
	}
	return Origin{
		Issuer: caller.Issuer, Subject: strings.Clone(caller.Subject), Client: strings.Clone(caller.Client),
		ID: strings.Clone(caller.ID), Session: strings.Clone(session), Essence: caller.Essence, Inner: caller.Inner,
		KeyID: caller.KeyID, IssuedAt: caller.IssuedAt, Sub: strings.Clone(sub),
	}
}

func (o Origin) weight() uint64 {
	return uint64(len(o.Subject) + len(o.Client) + len(o.ID) + len(o.Session) + len(o.Sub) + len(o.Ancestry))
}

// generations count evictions, so that a token asked for before one is not stored
// after it.
type generations struct {
	mu     sync.RWMutex
	number uint64

	outdated, swept atomic.Uint64 // how often, and up to which of them Sweep has looked
}

// begin returns the generation in which a call begins.
func (s *State) begin() uint64 {
	s.generations.mu.RLock()
	defer s.generations.mu.RUnlock()
	return s.generations.number
}

// keep remembers what was got for a caller, unless something was evicted since the
// call for it began. A call that began after the eviction is told by the caller's
// token itself: a revocation is known before what is derived is evicted.
func (x *Exchanger) keep(key cacheKey, issued *Issued, life lifetime, caller Caller, generation uint64) {
	x.state.keepEntry(key, x.entry(secondPlace{}, issued, life, caller), generation)
}

// keepAt is keep, in the flight of that context. What an upstream has refused since the
// flight began is not kept. It tells whether it was stored.
func (x *Exchanger) keepAt(call context.Context, key cacheKey, kept *entry, generation uint64) (stored bool) {
	if kept != nil {
		x.state.flights.Unless(call, key.replacing(kept.issued), func() { stored = x.state.keepEntry(key, kept, generation) })
	}
	return stored
}

// entry is what is to be kept of a token that other nodes find in that place, or are to
// find there; nil if there is nothing.
func (x *Exchanger) entry(place secondPlace, issued *Issued, life lifetime, caller Caller) *entry {
	if !x.forAll() && x.revoked(caller) {
		return nil
	}
	kept := newEntry(issued, life, x.config.Now(), x.origin(caller))
	if kept != nil {
		kept.second = place
	}
	return kept
}

// Outdate keeps what is being asked for at this moment from being stored when it comes,
// and forgets all remembered refusals. It costs next to nothing, whatever is kept: a
// revocation calls it at once, and leaves what frees the memory to a later Sweep. What
// serves a caller in between is held against the list of revocations first.
func (s *State) Outdate() {
	s.generations.outdated.Add(1)
	s.generations.mu.Lock()
	s.generations.number++
	s.generations.mu.Unlock()
	s.refusals.clear()
}

// Evict is Outdate and Sweep.
func (s *State) Evict(match func(Origin) bool) int {
	s.Outdate()
	return s.Sweep(match)
}

// Sweep forgets every token that was issued for a caller that match finds. It looks at
// every token: it is for revocations, not for requests. Where other nodes would find
// such a token it is deleted too, behind the caller's back.
func (s *State) Sweep(match func(Origin) bool) int {
	defer s.generations.sweptTo(s.generations.outdated.Load())
	if s.issued == nil {
		return 0
	}
	evicted := 0
	shared := make(map[*SecondLevel][]secondName)
	for key, kept := range s.issued.All() {
		if match(kept.origin) {
			s.issued.Invalidate(key)
			evicted++
			if kept.second.level != nil {
				shared[kept.second.level] = append(shared[kept.second.level], kept.second.name)
			}
		}
	}
	for level, names := range shared {
		level.forget(names)
	}
	return evicted
}

func (g *generations) sweptTo(number uint64) {
	for before := g.swept.Load(); before < number; before = g.swept.Load() {
		g.swept.CompareAndSwap(before, number)
	}
}

// unswept tells whether there may be tokens that a Sweep has yet to find.
func (s *State) unswept() bool { return s.generations.swept.Load() != s.generations.outdated.Load() }

// overtaken tells whether a caller was revoked between the check of its token and the
// moment at which it is served from memory.
func (x *Exchanger) overtaken(caller Caller) bool { return x.state.unswept() && x.revoked(caller) }

// Count tells how many tokens Sweep would forget. It changes nothing.
func (s *State) Count(match func(Origin) bool) int {
	if s.issued == nil {
		return 0
	}
	found := 0
	for _, kept := range s.issued.All() {
		if match(kept.origin) {
			found++
		}
	}
	return found
}
