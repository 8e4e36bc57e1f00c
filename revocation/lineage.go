package revocation

import (
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Lineage says what is derived from tokens. It remembers the tags of those from which
// much is: they are seven hashes, and the same each time.
type Lineage struct {
	state *State
	known token.Slots[ancestor]
}

// An ancestor is a token by its number, and the tags of it alone.
type ancestor struct {
	number uint64
	tags   Tags
}

// Lineage begins to remember.
func (s *State) Lineage() *Lineage { return &Lineage{state: s} }

// Of returns the tags of a token that is derived from this one, and from the one of who
// acts, nil if nobody does. See TagsOf and Join.
func (l *Lineage) Of(subject, actor *token.Token) Tags {
	tags := bounded(append(slices.Clone(l.state.inherited(subject)), l.group(subject)...))
	if actor != nil {
		acts := l.state.FactsOf(actor)
		tags = tags.Join(&acts)
	}
	return tags
}

// group is group of a token.
func (l *Lineage) group(t *token.Token) Tags {
	slot := l.known.At(&t.Digest)
	if known := slot.Load(); known != nil && known.number == t.Number() {
		return known.tags
	}
	facts := FactsOf(t)
	made := group(&facts)
	if number := t.Number(); number != 0 { // else it may be any token
		slot.Store(&ancestor{number, made})
	}
	return made
}
