package revocation

import (
	"sync"
	"sync/atomic"
	"time"
)

// A List is a set of events that can be asked about a token. It is safe for
// concurrent use.
type List struct {
	// counts tells how many events of each kind there are: a kind of which there is
	// none costs no look-up.
	counts [len(kinds)]atomic.Int64

	mu     sync.RWMutex
	byID   map[string]*Event
	byName map[name][]*Event
}

type name struct {
	kind          Kind
	issuer, value string
}

// NewList makes an empty list.
func NewList() *List {
	return &List{byID: make(map[string]*Event), byName: make(map[name][]*Event)}
}

// Len is how many events are in the list.
func (l *List) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.byID)
}

// add puts an event into the list, and tells whether it was not there yet.
func (l *List) add(event *Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.byID[event.ID]; known {
		return false
	}
	key := name{event.Kind, event.Issuer, event.Value}
	l.byID[event.ID] = event
	l.byName[key] = append(l.byName[key], event)
	l.counts[event.Kind.index()].Add(1)
	return true
}

func (k Kind) index() int {
	for i, kind := range kinds {
		if k == kind {
			return i
		}
	}
	return 0
}

// Find returns the event by which a token is no longer good, nil if there is none.
func (l *List) Find(facts *Facts, now time.Time) *Event {
	for i, kind := range kinds {
		if l.counts[i].Load() == 0 {
			continue
		}
		if found := l.find(name{kind, facts.Issuer, facts.value(kind)}, facts.IssuedAt, now); found != nil {
			return found
		}
		if kind == KindSubject && facts.Sub != "" && facts.Sub != facts.Subject {
			if found := l.find(name{kind, facts.Issuer, facts.Sub}, facts.IssuedAt, now); found != nil {
				return found
			}
		}
	}
	return nil
}

func (l *List) find(key name, issued, now time.Time) *Event {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, event := range l.byName[key] {
		if now.Before(event.Until) && (event.Before.IsZero() || !issued.After(event.Before)) {
			return event
		}
	}
	return nil
}

// sweep drops the events that have ended.
func (l *List) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, event := range l.byID {
		if now.Before(event.Until) {
			continue
		}
		delete(l.byID, id)
		l.unname(event)
		l.counts[event.Kind.index()].Add(-1)
	}
}

func (l *List) unname(event *Event) {
	key := name{event.Kind, event.Issuer, event.Value}
	var kept []*Event
	for _, other := range l.byName[key] {
		if other != event {
			kept = append(kept, other)
		}
	}
	if len(kept) == 0 {
		delete(l.byName, key)
		return
	}
	l.byName[key] = kept
}

// Events returns a copy of the events, in no order.
func (l *List) Events() []Event {
	l.mu.RLock()
	defer l.mu.RUnlock()
	events := make([]Event, 0, len(l.byID))
	for _, event := range l.byID {
		events = append(events, *event)
	}
	return events
}
