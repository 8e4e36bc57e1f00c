package revocation

import (
	"maps"
	"runtime"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// roomFor tells whether an event would find room at present. One that is leaving leaves
// the reserve.
func (l *List) roomFor(event *held, leaving bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if leaving && l.crowded(event) {
		return errReserve
	}
	return l.lacks(event)
}

// crowded tells that the event would take of the room that is held back.
func (l *List) crowded(event *held) bool {
	const part = 16
	return len(l.ids) >= l.most-store.Reserve(l.most) || l.bytes+event.bytes() > l.mostBytes-l.mostBytes/part
}

// roomy tells that there is room to keep what has ended.
func (l *List) roomy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids) < l.most/2 && l.bytes < l.mostBytes/2
}

func (l *List) lacks(event *held) error {
	if len(l.ids) >= l.most || l.bytes+event.bytes() > l.mostBytes {
		return ErrFull
	}
	return nil
}

// add puts an event into the list, and tells whether it was not there yet. life is
// that of the log in which it was read.
func (l *List) add(event *held, life uint8) (fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.ids[event.identifier()]; known != nil {
		known.life = life
		return false, nil
	}
	if err := l.lacks(event); err != nil {
		return false, err
	}
	event.life = life
	event.hash = l.hashOf(event)
	l.ids[event.identifier()] = event
	l.peak = max(l.peak, len(l.ids))
	l.bytes += event.bytes()
	l.name(event)
	// Only now, so that whoever sees the kind finds the event.
	l.counts[event.kind].Add(1)
	l.present.Or(1 << event.kind)
	return true, nil
}

// name lets readers find an event. Of several with one name they find those alone
// that no other one covers: however often a subject is revoked, one is enough.
func (l *List) name(event *held) {
	names := l.names.Load()
	place, first := names.place(event)
	if first == nil {
		if names.full() {
			names = names.copied()
			place, _ = names.place(event)
		}
		names.begin(place, event)
		l.names.Store(names)
		return
	}
	for other := first; other != nil; other = other.next.Load() {
		if other.covers(event) {
			return
		}
	}
	event.next.Store(without(first, event.covers))
	names.firsts[place].Store(event)
}

// without takes those out of a chain that are not wanted, and returns its new first.
// Readers that are at one of them go on behind it.
func without(first *held, unwanted func(*held) bool) *held {
	skip := func(h *held) *held {
		for h != nil && unwanted(h) {
			h = h.next.Load()
		}
		return h
	}
	first = skip(first)
	for h := first; h != nil; {
		next := skip(h.next.Load())
		h.next.Store(next)
		h = next
	}
	return first
}

// sweepStride is how many events are looked at before others get a turn.
const sweepStride = 4096

// sweep drops the events that have ended. Readers do not notice, and whoever revokes
// waits for a part of it at most.
func (l *List) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, looked := nanos(now), 0
	for _, event := range l.ids {
		looked++
		if looked%sweepStride == 0 {
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
		}
		if event.until <= at {
			l.drop(event)
		}
	}
	for i := range l.counts {
		if l.counts[i].Load() == 0 {
			l.present.And(^uint32(1 << i))
		}
	}
	if names := l.names.Load(); names.sparse() {
		l.names.Store(names.copied())
	}
	if len(l.ids) < l.peak/8 { // a map never gives memory back
		l.ids, l.peak = maps.Collect(maps.All(l.ids)), len(l.ids)
	}
}

func (l *List) drop(event *held) {
	delete(l.ids, event.identifier())
	l.bytes -= event.bytes()
	l.counts[event.kind].Add(-1)
	names := l.names.Load()
	place, first := names.place(event)
	if first == nil {
		return // one that covered it has taken the name along
	}
	kept := without(first, func(other *held) bool { return other == event })
	if kept == nil {
		names.end(place)
		return
	}
	names.firsts[place].Store(kept)
}

// unseen are the events that were not read in this life of the log.
func (l *List) unseen(life uint8) []*held {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*held
	for _, event := range l.ids {
		if event.life != life {
			found = append(found, event)
		}
	}
	return found
}

// seen tells whether an event was read in this life of the log, or has ended.
func (l *List) seen(event *held, life uint8, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return event.life == life || event.until <= nanos(now)
}
