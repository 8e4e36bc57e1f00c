package revocation

import "sync/atomic"

// A table finds the events of a name: a hash table with open addresses, which one
// writer changes while any number of readers look into it without a lock. A tag is a
// part of the hash, so that whoever finds nothing has looked at few tags that lie
// side by side, and at no event.
//
// A place belongs to one name for as long as the table lives. A table that is full
// makes way for another one, and readers that still have it miss nothing that was
// there when they began.
type table struct {
	tags   []atomic.Uint32
	firsts []atomic.Pointer[held]
	taken  int // places that have, or had, a name
	names  int // places that have one
}

// The tags of places without a name.
const (
	tagFree = iota
	tagGone
	tagLeast
)

// leastPlaces is the size of the smallest table.
const leastPlaces = 8

// newTable makes a table with room for that many names and as many again.
func newTable(names int) *table {
	places := leastPlaces
	for room(places) < 2*names {
		places *= 2
	}
	return &table{tags: make([]atomic.Uint32, places), firsts: make([]atomic.Pointer[held], places)}
}

// room is how many of the places may be taken: beyond that, searches get long.
func room(places int) int { return places * 5 / 8 }

func (t *table) full() bool { return t.taken >= room(len(t.tags)) }

// sparse tells that most of the memory is for names that are gone.
func (t *table) sparse() bool { return len(t.tags) > leastPlaces && t.names < room(len(t.tags))/8 }

func tagOf(hash uint64) uint32 { return uint32(hash>>32) | tagLeast }

// last is the last place, which is a mask as well.
func (t *table) last() uint64 { return uint64(len(t.tags) - 1) } //nolint:gosec // there are some

// find returns the first event of a name, nil if there is none.
func (t *table) find(hash uint64, kind kindIndex, issuer, value string) *held {
	tag, last := tagOf(hash), t.last()
	for place := hash & last; ; place = (place + 1) & last {
		switch t.tags[place].Load() {
		case tagFree:
			return nil
		case tag:
			if first := t.firsts[place].Load(); first != nil && first.is(kind, issuer, value) {
				return first
			}
		}
	}
}

// place returns where the event's name is, or the place that it can have. Writers
// only.
func (t *table) place(event *held) (place int, first *held) {
	tag, last := tagOf(event.hash), t.last()
	for i := event.hash & last; ; i = (i + 1) & last {
		switch t.tags[i].Load() {
		case tagFree:
			return int(i), nil //nolint:gosec // an index
		case tag:
			if first := t.firsts[i].Load(); first.is(event.kind, event.issuer.Value(), event.valueText()) {
				return int(i), first //nolint:gosec // an index
			}
		}
	}
}

// begin gives a free place to the name of an event. Writers only.
func (t *table) begin(place int, first *held) {
	t.firsts[place].Store(first)
	t.tags[place].Store(tagOf(first.hash))
	t.taken++
	t.names++
}

// end takes its place from a name. Writers only.
func (t *table) end(place int) {
	t.tags[place].Store(tagGone)
	t.firsts[place].Store(nil)
	t.names--
}

// copied is a table with the same names and the right size for them.
func (t *table) copied() *table {
	other := newTable(t.names)
	for i := range t.firsts {
		if first := t.firsts[i].Load(); first != nil {
			place, _ := other.place(first)
			other.begin(place, first)
		}
	}
	return other
}
