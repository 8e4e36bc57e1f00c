package revocation

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// origins know how to read what tokens of the gateway's own were derived from, and
// which events are about that. The zero value knows of none, and costs nothing.
type origins struct {
	index atomic.Pointer[tagIndex] // nil until there is a reader

	mu      sync.Mutex
	readers atomic.Pointer[[]*originReader]
}

// An originReader reads the tags of the tokens of one issuer.
type originReader struct {
	issuer string
	read   func(*token.Token) []byte
}

// ReadOrigins makes the list be asked, for tokens of that issuer, about what they
// were derived from too. read returns their Tags, nil for a token that has none or
// whose tags it cannot read. Several may read for one issuer, each what it can. The
// function returned ends it.
func (s *State) ReadOrigins(issuer string, read func(*token.Token) []byte) (cancel func()) {
	s.indexTags()
	reader := &originReader{issuer: issuer, read: read}
	change := func(change func([]*originReader) []*originReader) {
		s.origins.mu.Lock()
		defer s.origins.mu.Unlock()
		var now []*originReader
		if before := s.origins.readers.Load(); before != nil {
			now = slices.Clone(*before)
		}
		now = change(now)
		s.origins.readers.Store(&now)
	}
	change(func(all []*originReader) []*originReader { return append(all, reader) })
	return func() {
		change(func(all []*originReader) []*originReader {
			return slices.DeleteFunc(all, func(other *originReader) bool { return other == reader })
		})
	}
}

// indexTags begins to keep events by tag.
func (s *State) indexTags() {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.origins.index.Load() != nil {
		return
	}
	index := newTagIndex()
	for _, event := range s.list.Events() {
		index.add(&event)
	}
	s.origins.index.Store(index)
}

// noted is told of each event that is on the list from now on.
func (o *origins) noted(event *Event) {
	if index := o.index.Load(); index != nil {
		index.add(event)
	}
}

// tags are what a token says of what it was derived from, nil if nothing.
func (o *origins) tags(t *token.Token) Tags {
	readers := o.readers.Load()
	if readers == nil {
		return nil
	}
	for _, reader := range *readers {
		if reader.issuer != t.Issuer {
			continue
		}
		if tags := Tags(reader.read(t)); tags.ok() {
			return tags
		}
	}
	return nil
}

// find returns why a token that is not on the list itself is no longer good, nil if
// it is good.
func (o *origins) find(t *token.Token) *taggedEvent {
	index := o.index.Load()
	if index == nil {
		return nil
	}
	return index.find(o.tags(t), time.Now())
}

// FactsOf reads a verified token, and what it was derived from. A token that its issuer
// names in another way than the token does itself is derived from what it says.
func (s *State) FactsOf(t *token.Token) Facts {
	facts := FactsOf(t)
	facts.Tags = s.inherited(t)
	return facts
}

// inherited are the tags of what a token was derived from.
func (s *State) inherited(t *token.Token) Tags {
	tags := s.origins.tags(t)
	if t.JWT != nil {
		said := FactsOf(t.JWT)
		tags = tags.Join(&said)
	}
	return tags
}

// Revoked tells why a token is no longer good, nil if it is good as far as the list
// knows. The error wraps token.Revoked.
func (s *State) Revoked(t *token.Token) error {
	if s.list.present.Load() == 0 {
		return nil
	}
	for said := t; said != nil; said = said.JWT {
		facts := factsOf(said)
		if event := s.list.find(&facts, zeroTime); event != nil {
			return fmt.Errorf("%w: by %s, revocation %s", token.Revoked, kinds[event.kind], event.identifier())
		}
	}
	if event := s.origins.find(t); event != nil {
		return fmt.Errorf("%w: by %s of what it was derived from, revocation %s", token.Revoked, kinds[event.kind], event.id)
	}
	return nil
}

// Covers tells whether anything on the list is about a token of these facts, or about
// what it was derived from.
func (s *State) Covers(facts *Facts) bool {
	if s.list.find(facts, zeroTime) != nil {
		return true
	}
	index := s.origins.index.Load()
	return index != nil && index.find(facts.Tags, time.Now()) != nil
}

// ends tells whether a batch makes a token no longer good. Claims and tags are read
// only where an event may be about them: each event asks so of each open stream.
func (s *State) ends(batch *Batch, t *token.Token) bool {
	facts := factsOf(t)
	return batch.list.find(&facts, zeroTime) != nil || batch.derives(s.origins.tags(t))
}

// NewBatch makes a batch of events that are on no list, to ask what they would be
// about.
func NewBatch(events ...*Event) *Batch {
	batch := &Batch{Events: events, list: NewList()}
	for _, event := range events {
		_, _ = batch.list.add(hold(event), 0) // there is room
	}
	return batch
}

// derives tells whether the batch is about what the tags name.
func (b *Batch) derives(tags Tags) bool {
	if len(tags) == 0 {
		return false
	}
	b.once.Do(func() {
		b.tags = newTagIndex()
		for _, event := range b.Events {
			b.tags.add(event)
		}
	})
	return b.tags.find(tags, time.Now()) != nil
}
