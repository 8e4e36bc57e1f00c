package revocation

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// A tagIndex finds events by the tags of what they are about. It stands beside the
// list, only where tokens have tags, and is safe for concurrent use.
type tagIndex struct {
	mu    sync.RWMutex
	known map[tag]*taggedEvent
	swept time.Time
}

// A taggedEvent is what is needed of an event. Events with one name hang together.
type taggedEvent struct {
	id     string
	kind   kindIndex
	before uint32 // seconds; 0: all, whenever issued
	until  int64  // nanoseconds
	next   *taggedEvent
}

func newTagIndex() *tagIndex { return &tagIndex{known: make(map[tag]*taggedEvent), swept: time.Now()} }

// add adds an event; one that is there already, by its name, changes nothing.
func (x *tagIndex) add(event *Event) {
	kind, known := event.Kind.index()
	if !known {
		return
	}
	value := event.Value
	if kind == ofToken {
		value = string(digestIn(value))
	}
	key := nameTag(kind, event.Issuer, value)
	made := &taggedEvent{id: event.ID, kind: kind, before: secondsOf(event.Before), until: event.Until.UnixNano()}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweep(time.Now())
	for other := x.known[key]; other != nil; other = other.next {
		if other.id == made.id {
			return
		}
	}
	made.next = x.known[key]
	x.known[key] = made
}

// secondsOf bounds an instant to what a group can say.
func secondsOf(at time.Time) uint32 {
	if at.IsZero() {
		return 0
	}
	return uint32(min(max(at.Unix(), 1), 1<<32-1))
}

// sweep drops the events that have ended, now and then.
func (x *tagIndex) sweep(now time.Time) {
	if now.Sub(x.swept) < sweepEach {
		return
	}
	x.swept = now
	for key, first := range x.known {
		var kept *taggedEvent
		for first != nil {
			one := first
			if first = first.next; one.until > now.UnixNano() {
				one.next, kept = kept, one
			}
		}
		if kept == nil {
			delete(x.known, key)
		} else {
			x.known[key] = kept
		}
	}
}

// find returns an event that is about something that the tags name, nil if there is
// none.
func (x *tagIndex) find(tags Tags, now time.Time) *taggedEvent {
	if x == nil || !tags.ok() {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.known) == 0 {
		return nil
	}
	for group := range slices.Chunk(tags, groupSize) {
		issued := binary.BigEndian.Uint32(group)
		for at := stampSize; at < groupSize; at += tagSize {
			if found := x.known[tag(group[at:at+tagSize])].about(issued, now); found != nil {
				return found
			}
		}
	}
	return nil
}

// about returns the first event of the chain that is about what was issued then.
func (e *taggedEvent) about(issued uint32, now time.Time) *taggedEvent {
	for ; e != nil; e = e.next {
		if now.UnixNano() < e.until && (e.before == 0 || issued <= e.before) {
			return e
		}
	}
	return nil
}
