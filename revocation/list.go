package revocation

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Default bounds of a list: those of a log in memory, so that it has room for all
// that such a log can have.
const (
	DefaultEvents = store.DefaultRecords
	DefaultBytes  = 2 * int64(store.DefaultRecordBytes)
)

// ErrFull says that there is no room for another event. It wraps store.ErrFull.
var ErrFull = fmt.Errorf("the list of revocations has no room for another one: %w", store.ErrFull)

// errReserve is ErrFull for whoever is no operator.
var errReserve = fmt.Errorf("%w: what is left of it is for operators", ErrFull)

// A List is a set of events that can be asked about a token. It is exact, and safe
// for concurrent use; whoever asks takes no lock and waits for nobody.
type List struct {
	seed maphash.Seed
	// present has a bit for each kind of which there is an event: a kind of which
	// there is none costs no look-up.
	present atomic.Uint32
	names   atomic.Pointer[table]
	counts  [len(kinds)]atomic.Int64

	most      int
	mostBytes int64

	mu    sync.Mutex // of writers
	ids   map[string]*held
	peak  int // the most that ids has had
	bytes int64
}

// NewList makes an empty list with the default bounds.
func NewList() *List { return newList(DefaultEvents, DefaultBytes) }

func newList(most int, mostBytes int64) *List {
	l := &List{seed: maphash.MakeSeed(), ids: make(map[string]*held), most: most, mostBytes: mostBytes}
	l.names.Store(newTable(0))
	return l
}

// Len is how many events are in the list.
func (l *List) Len() int {
	sum := int64(0)
	for i := range l.counts {
		sum += l.counts[i].Load()
	}
	return int(sum)
}

// Counts are how many events there are of each kind.
func (l *List) Counts() iter.Seq2[Kind, int] {
	return func(yield func(Kind, int) bool) {
		for i, kind := range kinds {
			if !yield(kind, int(l.counts[i].Load())) {
				return
			}
		}
	}
}

// Find returns the event by which a token is no longer good, nil if there is none.
func (l *List) Find(facts *Facts, now time.Time) *Event {
	found := l.find(facts, now)
	if found == nil {
		return nil
	}
	event := found.event()
	return &event
}

// find is Find; a zero now means the present, for which the clock is asked only where
// there is an event of one of the token's names.
func (l *List) find(facts *Facts, now time.Time) *held {
	present := l.present.Load()
	if present == 0 {
		return nil
	}
	names := l.names.Load()
	issuer := maphash.String(l.seed, facts.Issuer)
	for ; present != 0; present &= present - 1 {
		kind := kindIndex(bits.TrailingZeros32(present)) //nolint:gosec // at most 32
		value, other := facts.values(kind)
		if value == "" && other == "" && kind != ofIssuer {
			continue
		}
		first := names.find(join(issuer, kind, maphash.String(l.seed, value)), kind, facts.Issuer, value)
		if found := first.meeting(facts.IssuedAt, now); found != nil {
			return found
		}
		if other == "" || other == value {
			continue
		}
		first = names.find(join(issuer, kind, maphash.String(l.seed, other)), kind, facts.Issuer, other)
		if found := first.meeting(facts.IssuedAt, now); found != nil {
			return found
		}
	}
	return nil
}

// meeting returns the first event of the chain that is about a token issued then.
func (h *held) meeting(issuedAt, now time.Time) *held {
	if h == nil {
		return nil
	}
	if now.IsZero() {
		now = time.Now()
	}
	issued := never
	if !issuedAt.IsZero() {
		issued = nanos(issuedAt)
	}
	at := nanos(now)
	for ; h != nil; h = h.next.Load() {
		if h.meets(issued, at) {
			return h
		}
	}
	return nil
}

// hashOf is the hash of an event's name.
func (l *List) hashOf(event *held) uint64 {
	return join(maphash.String(l.seed, event.issuer.Value()), event.kind, maphash.String(l.seed, event.valueText()))
}

// join makes the hash of a name of those of its parts.
func join(issuer uint64, kind kindIndex, value uint64) uint64 {
	const odd = 0x9e3779b97f4a7c15
	high, low := bits.Mul64(issuer+uint64(kind)*odd, value^odd)
	return high ^ low
}

// Events returns a copy of the events, in no order.
func (l *List) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := make([]Event, 0, len(l.ids))
	for _, event := range l.ids {
		events = append(events, event.event())
	}
	return events
}
