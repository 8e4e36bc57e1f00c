package revocation

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// logName is the log's in the store.
const logName = store.Purpose("revocations")

// A Batch is some events that came in together.
type Batch struct {
	Events []*Event
	list   *List
}

// Matches tells whether the batch makes a token no longer good.
func (b *Batch) Matches(facts *Facts) bool { return b.list.Find(facts, time.Now()) != nil }

// A State is the list of one node and how far it has followed the log. It outlives
// configurations and holds no settings. It is safe for concurrent use.
type State struct {
	log  store.Log
	list *List

	following sync.Mutex // one follower at a time: a reload's begins when the old one's has ended
	position  store.Position

	loaded  atomic.Bool
	contact atomic.Int64 // when the log was last read to its end, in nanoseconds since 1970

	mu          sync.Mutex
	subscribers map[*func(*Batch)]struct{}
}

// NewState makes the state of a node that has not read the log yet.
func NewState(log store.Log) *State {
	return &State{log: log, list: NewList(), subscribers: make(map[*func(*Batch)]struct{})}
}

// A Status is how far a node has followed the log.
type Status struct {
	// Loaded tells whether the whole list was read once.
	Loaded bool
	// Contact is when the log was last read to its end, zero if never.
	Contact time.Time
	// Events is how many there are.
	Events int
}

// Status tells how far the node is.
func (s *State) Status() Status {
	status := Status{Loaded: s.loaded.Load(), Events: s.list.Len()}
	if at := s.contact.Load(); at != 0 {
		status.Contact = time.Unix(0, at)
	}
	return status
}

// List is the list itself.
func (s *State) List() *List { return s.list }

// Revoke makes something no longer good: here at once, and on every other node as
// soon as it reads the log. When it returns without an error the log has the event.
// It returns the event as it is in the log. Errors wrap ErrInvalid or the store's.
func (s *State) Revoke(ctx context.Context, event Event) (Event, error) {
	event.complete(time.Now())
	if err := event.Check(); err != nil {
		return event, err
	}
	data, err := event.encode()
	if err != nil {
		return event, fmt.Errorf("revoking: %w", err)
	}
	if err := s.log.Append(ctx, logName, event.ID, data, event.Until); err != nil {
		return event, fmt.Errorf("revoking: %w", err)
	}
	s.apply([]*Event{&event})
	return event, nil
}

// Subscribe calls f with all that comes in from now on, after the list has it and
// before whoever revoked hears of it. f must not call back into the state's Revoke.
// The function returned ends it.
func (s *State) Subscribe(f func(*Batch)) (cancel func()) {
	key := &f
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[key] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, key)
	}
}

// apply puts events into the list and tells of those that are new.
func (s *State) apply(events []*Event) {
	fresh := &Batch{list: NewList()}
	for _, event := range events {
		if s.list.add(event) {
			fresh.list.add(event)
			fresh.Events = append(fresh.Events, event)
		}
	}
	if len(fresh.Events) == 0 {
		return
	}
	s.mu.Lock()
	told := make([]func(*Batch), 0, len(s.subscribers))
	for f := range s.subscribers {
		told = append(told, *f)
	}
	s.mu.Unlock()
	for _, tell := range told {
		tell(fresh)
	}
}
