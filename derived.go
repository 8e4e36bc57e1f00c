package gatehouse

import (
	"slices"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// What is kept of tokens, by the words in which counts and logs speak of it.
const (
	derivedRemembered = "remembered_tokens"
	derivedAnswers    = "introspection_answers"
	derivedIssued     = "issued_tokens"
)

// derived is all that this configuration keeps of tokens: what was read of them,
// what their issuers said of them, and what was issued in exchange for them. A
// revocation clears what it is about.
//
// The states are shared with other configurations, and each clears them: the last
// one that holds a state is among them.
type derived struct {
	remembered *token.Cache

	mu       sync.Mutex // handlers are provisioned while events come in
	answered []*introspection.State
	issued   []*exchange.State
}

func (d *derived) answers(state *introspection.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.answered, state) {
		d.answered = append(d.answered, state)
	}
}

func (d *derived) issues(state *exchange.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.issued, state) {
		d.issued = append(d.issued, state)
	}
}

func (d *derived) states() ([]*introspection.State, []*exchange.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.answered), slices.Clone(d.issued)
}

// A sweeping looks at each thing once, whatever it then does to those that match.
type sweeping struct {
	remembered func(*token.Cache, func(*token.Token) bool) int
	answered   func(*introspection.State, func(*token.Token) bool) int
	issued     func(*exchange.State, func(exchange.Origin) bool) int
}

var (
	evicting = sweeping{(*token.Cache).Evict, (*introspection.State).Evict, (*exchange.State).Evict}
	counting = sweeping{(*token.Cache).Count, (*introspection.State).Count, (*exchange.State).Count}
)

// sweep goes over everything once and returns how much of each kind matched.
func (d *derived) sweep(how sweeping, match func(*revocation.Facts) bool) map[string]int {
	ofToken := func(t *token.Token) bool {
		facts := revocation.FactsOf(t)
		return match(&facts)
	}
	ofOrigin := func(origin exchange.Origin) bool {
		facts := factsOf(&origin)
		return match(&facts)
	}
	counts := map[string]int{derivedRemembered: how.remembered(d.remembered, ofToken)}
	answered, issued := d.states()
	for _, state := range answered {
		counts[derivedAnswers] += how.answered(state, ofToken)
	}
	for _, state := range issued {
		counts[derivedIssued] += how.issued(state, ofOrigin)
	}
	return counts
}

// factsOf is whose token something was issued for. What was issued for nobody has no
// issuer, which no event is of.
func factsOf(origin *exchange.Origin) revocation.Facts {
	return revocation.Facts{
		Issuer: origin.Issuer, ID: origin.ID, Subject: origin.Subject, Session: origin.Session, Client: origin.Client,
		KeyID: origin.KeyID, Digest: origin.Digest, IssuedAt: origin.IssuedAt,
	}
}

// watchRevocations clears what was derived from a token as soon as that is no longer
// good: before whoever revoked it hears of it.
func (a *App) watchRevocations() {
	a.derived.remembered = a.cache.Value
	a.releases = append(a.releases, a.revoked.Subscribe(func(batch *revocation.Batch) {
		counts := a.derived.sweep(evicting, batch.Matches)
		a.log.Debug("cleared what was derived from revoked tokens", "events", len(batch.Events),
			derivedRemembered, counts[derivedRemembered], derivedAnswers, counts[derivedAnswers], derivedIssued, counts[derivedIssued])
	}))
}

// isRevoked tells whether a token that was good is so no longer.
func (a *App) isRevoked(t *token.Token) bool {
	facts := revocation.FactsOf(t)
	return a.revoked.List().Find(&facts, time.Now()) != nil
}

// CountDerived tells how much of each kind a revocation would clear on this node; it
// changes nothing. facts tells whether the revocation is about a token.
func (a *App) CountDerived(facts func(*revocation.Facts) bool) map[string]int {
	return a.derived.sweep(counting, facts)
}
