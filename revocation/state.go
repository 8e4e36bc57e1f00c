package revocation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// logName is the log's in the store.
const logName = store.Purpose("revocations")

// appendPatience is how long the store may take to acknowledge a revocation.
const appendPatience = 10 * time.Second

// A Batch is some events that came in together.
type Batch struct {
	// Events are those that were not on the list before.
	Events []*Event
	// Local tells that this node revoked, and did not read it in the log.
	Local bool
	// Loading tells that the node had not read the whole log yet: these are events of
	// before it started.
	Loading bool

	from *State // that read it, or was asked to revoke
	list *List
	once sync.Once
	tags *tagIndex // made when it is needed
}

// Matches tells whether the batch makes a token no longer good, or what that was
// derived from.
func (b *Batch) Matches(facts *Facts) bool {
	return b.list.find(facts, zeroTime) != nil || b.derives(facts.Tags)
}

// A State is the list of one node and how far it has followed the log. It outlives
// configurations and holds no settings. It is safe for concurrent use.
type State struct {
	*known

	log   store.Log
	began time.Time // what contact counts from, on a clock that nobody sets

	loaded      atomic.Bool
	trouble     atomic.Pointer[Trouble] // nil: the newest read of the log succeeded
	at          atomic.Pointer[store.Position]
	contact     atomic.Int64 // when the log was last read to its end, in nanoseconds since began
	wall        atomic.Int64 // the same by the clock on the wall, in nanoseconds since 1970
	undecodable atomic.Uint64

	// What follows belongs to who follows: one at a time. A reload's begins when the
	// old one's has ended.
	following chan struct{}
	asking    chan struct{} // one question to the store at a time, however long it takes
	position  store.Position
	life      atomic.Uint32 // of the log; see known.newLife
	rereading bool          // the log has begun anew and was not read to its end yet
	missing   []*held       // what the log lacks
	latest    time.Time     // that the clock on the wall has shown
	inherits  bool          // it began with the list of another state
}

// known is what the node knows, from whatever log, and who is to be told of it. A
// State has it in common with the one that it succeeds: requests of a configuration
// that was replaced go on, streams for days, and what they hold must be held against
// what comes in after they began, although nobody follows the State that they ask.
type known struct {
	list    *List
	watches watches
	origins origins
	lives   atomic.Uint32 // how many lives of logs there were, times two

	mine sync.Map // IDs of what is being revoked on this node at this moment

	// applying is held while events are added and told, so that whoever revokes
	// returns after all were told, whoever read it first.
	applying sync.Mutex

	mu          sync.Mutex
	subscribers map[*func(*Batch)]struct{}
}

// NewState makes the state of a node that has not read the log yet.
func NewState(log store.Log) *State { return newState(log, NewList()) }

func newState(log store.Log, list *List) *State {
	return &State{
		known: &known{list: list, subscribers: make(map[*func(*Batch)]struct{})},
		log:   log, began: time.Now(),
		following: make(chan struct{}, 1), asking: make(chan struct{}, 1),
	}
}

// newLife begins another life of the State's log, as a number that no other State has
// that knows the same. The number before each is nobody's: it stands for an event that
// the log may lack.
func (s *State) newLife() { s.life.Store(s.lives.Add(2)) } //nolint:mnd // see above

// A Status is how far a node has followed the log.
type Status struct {
	// Loaded tells whether the whole list was read once.
	Loaded bool
	// Contact is when the log was last read to its end, zero if never.
	Contact time.Time
	// Events is how many there are.
	Events int
	// Undecodable is how many records of the log could not be read as revocations
	// since the process started. The node does not know what they are about.
	Undecodable uint64
	// Watched is how many streams end when their token is revoked.
	Watched int
	// Trouble is what keeps the node from reading the log at this moment, nil if it does.
	Trouble *Trouble
	// Position is how far it has read, "" before it read anything.
	Position store.Position
}

// Status tells how far the node is.
func (s *State) Status() Status {
	status := Status{
		Loaded: s.loaded.Load(), Events: s.list.Len(),
		Undecodable: s.undecodable.Load(), Watched: s.watches.count(), Trouble: s.trouble.Load(),
	}
	if at := s.at.Load(); at != nil {
		status.Position = *at
	}
	if age, ok := s.Lag(); ok {
		status.Contact = time.Now().Add(-age)
	}
	return status
}

// Lag is how long ago the read began that last reached the end of the log; ok is
// false before there was one.
func (s *State) Lag() (age time.Duration, ok bool) {
	if !s.loaded.Load() {
		return 0, false
	}
	return s.age(), true
}

// age is by two clocks, the larger of both: the one that nobody sets stands still while
// a virtual machine is suspended, and that on the wall may be set back. One that is set
// forward makes the list look old until the next contact.
func (s *State) age() time.Duration {
	now := time.Now()
	steady := now.Sub(s.began) - time.Duration(s.contact.Load())
	return max(steady, time.Duration(now.UnixNano()-s.wall.Load()), 0)
}

// reachedEnd notes contact with the end of the log at that time.
func (s *State) reachedEnd(at time.Time) {
	s.wall.Store(at.UnixNano())
	s.contact.Store(int64(at.Sub(s.began)))
}

// Loaded tells whether the whole list was read once.
func (s *State) Loaded() bool { return s.loaded.Load() }

// Undecodable is that of Status.
func (s *State) Undecodable() uint64 { return s.undecodable.Load() }

// List is the list itself.
func (s *State) List() *List { return s.list }

// Revoke makes something no longer good: here at once, and on every other node as
// soon as it reads the log. When it returns without an error the log has the event,
// and all subscribers of this node were told. It returns the event as it is in the
// log. Errors wrap ErrInvalid, ErrFull or the store's; nothing is revoked then, unless
// the store took the event and could not say so.
func (s *State) Revoke(ctx context.Context, event Event) (Event, error) {
	events := []Event{event}
	faults := s.RevokeAll(ctx, events)
	return events[0], faults[0]
}

// RevokeAll is Revoke for many events, whose subscribers are told once: they look at
// all they keep each time. It writes into events what it completes, and returns what
// came of each.
func (s *State) RevokeAll(ctx context.Context, events []Event) []error {
	// If the log begins anew meanwhile, nobody knows in which life the events are.
	life := uint8(s.life.Load() - 1) //nolint:gosec // it counts round
	faults := s.appendEach(ctx, events)
	defer func() {
		for i := range events {
			s.mine.Delete(events[i].ID)
		}
	}()
	var kept []*Event
	var places []int
	for i := range events {
		if faults[i] == nil {
			kept, places = append(kept, &events[i]), append(places, i)
		}
	}
	applied, err := s.apply(kept, life, true)
	for _, i := range places[applied:] {
		faults[i] = err
	}
	return faults
}

// appendsAtOnce is how many events are on their way to the store: it answers each
// with a round trip, or a write to the disk that several share.
const appendsAtOnce = 8

// appendEach puts events into the log and returns what came of each. It gives up on a
// store that has not taken any of the last few: ten thousand orders would wait for it
// one by one.
func (s *State) appendEach(ctx context.Context, events []Event) []error {
	faults := make([]error, len(events))
	var lost atomic.Int64 // in a row
	var group errgroup.Group
	group.SetLimit(appendsAtOnce)
	for i := range events {
		group.Go(func() error {
			if lost.Load() >= appendsAtOnce {
				faults[i] = errGivenUp
				return nil
			}
			faults[i] = s.append(ctx, &events[i])
			switch {
			case faults[i] == nil:
				lost.Store(0)
			case errors.Is(faults[i], store.ErrUnavailable), errors.Is(faults[i], context.DeadlineExceeded):
				lost.Add(1)
			}
			return nil
		})
	}
	_ = group.Wait()
	return faults
}

// errGivenUp is what comes of events that were not tried any more.
var errGivenUp = fmt.Errorf("revoking: not tried, since the store took none of those before: %w", store.ErrUnavailable)

// appendTries is how often an event is given to a store that does not answer in time:
// it is known by its identifier, so that nothing happens twice.
const appendTries = 3

// append puts one event into the log.
func (s *State) append(ctx context.Context, event *Event) error {
	now := time.Now()
	event.complete(now)
	if err := event.Check(); err != nil {
		return err
	}
	if err := event.checkDates(now); err != nil {
		return err
	}
	data, err := event.encode()
	if err != nil {
		return err
	}
	operators := event.By == ByOperator
	if err := s.list.roomFor(hold(event), !operators); err != nil {
		return err
	}
	put := s.log.Append
	if reserver, ok := s.log.(store.Reserver); ok && !operators {
		put = reserver.AppendLeaving
	}
	ctx, cancel := context.WithTimeout(ctx, appendPatience)
	defer cancel()
	s.mine.Store(event.ID, nil) // the follower may be the first to apply it
	for try := 1; ; try++ {
		err := put(ctx, logName, event.ID, data, event.Until)
		switch {
		case err == nil:
			return nil
		case try == appendTries || ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable):
			return fmt.Errorf("revoking: %w", err)
		}
	}
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

// apply puts events into the list and tells of those that are new. Where there is no
// room for all it does so with those before, and says how many they were.
func (s *State) apply(events []*Event, life uint8, local bool) (applied int, err error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	fresh := &Batch{Loading: !s.loaded.Load(), from: s, list: NewList()}
	for _, event := range events {
		added, full := s.list.add(hold(event), life)
		if err = full; err != nil {
			break
		}
		applied++
		if added {
			s.origins.noted(event)
			_, _ = fresh.list.add(hold(event), life) // there is room where there was room for all
			fresh.Events = append(fresh.Events, event)
		}
	}
	fresh.Local = local || !slices.ContainsFunc(fresh.Events, s.foreign)
	if len(fresh.Events) > 0 {
		s.tell(fresh)
	}
	return applied, err
}

// foreign tells whether an event is not being said on this node at this moment.
func (s *State) foreign(event *Event) bool {
	_, mine := s.mine.Load(event.ID)
	return !mine
}

func (s *State) tell(batch *Batch) {
	s.mu.Lock()
	told := make([]func(*Batch), 0, len(s.subscribers))
	for f := range s.subscribers {
		told = append(told, *f)
	}
	s.mu.Unlock()
	for _, tell := range told {
		tell(batch)
	}
	s.watches.tell(batch, s.ends)
}
