package gatehouse

import (
	"slices"
	"sync"

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
	revoked    *revocation.State

	mu       sync.Mutex // handlers are provisioned while events come in
	answered []*introspection.State
	issued   []*exchange.State

	due clearing
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
	evicting = sweeping{(*token.Cache).Evict, (*introspection.State).Sweep, (*exchange.State).Sweep}
	counting = sweeping{(*token.Cache).Count, (*introspection.State).Count, (*exchange.State).Count}
)

// sweep goes over everything once and returns how much of each kind matched.
func (d *derived) sweep(how sweeping, ofToken func(*token.Token) bool, match func(*revocation.Facts) bool) map[string]int {
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
		Sub: origin.Sub, KeyID: origin.KeyID, Essence: origin.Essence, Inner: origin.Inner, IssuedAt: origin.IssuedAt, Tags: origin.Ancestry,
	}
}

// watchRevocations has what was derived from a token cleared once that is no longer
// good.
func (a *App) watchRevocations() {
	a.derived.remembered, a.derived.revoked = a.cache.Value, a.revoked
	a.derived.due.wake = make(chan struct{}, 1)
	a.releases = append(a.releases, a.revoked.Subscribe(a.derived.told))
}

// isRevoked tells whether a token that was good is so no longer.
func (a *App) isRevoked(t *token.Token) bool { return a.revoked.Revoked(t) != nil }

// ancestry is what a token of the gateway's own was derived from.
func (a *App) ancestry(t *token.Token) []byte { return a.revoked.FactsOf(t).Tags }

// originOf returns what says what is derived from a token, and from that of who acts, if
// there is one.
func (a *App) originOf() func(subject, actor *token.Token) []byte {
	if a.lineage == nil {
		a.lineage = a.revoked.Lineage()
	}
	return func(subject, actor *token.Token) []byte { return a.lineage.Of(subject, actor) }
}

// CountDerived tells how much of each kind a revocation would clear on this node; it
// changes nothing but for what earlier ones have yet to clear, which is not counted
// again. match tells whether the revocation is about a token.
func (a *App) CountDerived(match func(*revocation.Facts) bool) map[string]int {
	a.derived.clear(a.log)
	return a.derived.sweep(counting, func(t *token.Token) bool {
		facts := a.revoked.FactsOf(t)
		return match(&facts)
	}, match)
}
