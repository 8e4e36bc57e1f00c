package revocation

import (
	"encoding/base64"
	"math"
	"sync/atomic"
	"time"
	"unique"
	"unsafe"
)

// A held is an event in the list, in as little memory as it needs: there may be a
// million of them. Readers see it without a lock, so nothing of it changes but next
// and, by whoever has the list's lock, life.
type held struct {
	// next is another event of the same name that is not covered by this one.
	next atomic.Pointer[held]

	hash                 uint64 // of the name
	issuer               unique.Handle[string]
	text                 string // ID, value, reason and by, one behind the other
	until, before, at    int64  // nanoseconds since 1970
	id, value, reasonLen uint16 // lengths
	kind                 kindIndex
	life                 uint8 // of the log in which it was read last
}

// heldBytes is what an event takes beside its text: itself, its place in the table
// and in the map of identifiers.
const heldBytes = int64(unsafe.Sizeof(held{})) + 80

// Instants that stand for what an event or a token does not say.
const (
	never  = int64(math.MinInt64)
	always = int64(math.MaxInt64)
)

// nanos is an instant as a number, the last or first one where it lies beyond all
// numbers.
func nanos(at time.Time) int64 {
	const last = math.MaxInt64 / int64(time.Second)
	switch seconds := at.Unix(); {
	case seconds >= last:
		return always
	case seconds <= -last:
		return never
	}
	return at.UnixNano()
}

func hold(e *Event) *held {
	kind, _ := e.Kind.index()
	value := e.Value
	if e.Kind == KindToken {
		value = string(digestIn(e.Value))
	}
	h := &held{
		issuer: unique.Make(e.Issuer), text: e.ID + value + e.Reason + e.By,
		until: nanos(e.Until), before: always, at: nanos(e.At), kind: kind,
		id: uint16(len(e.ID)), value: uint16(len(value)), reasonLen: uint16(len(e.Reason)), //nolint:gosec // Check bounds them
	}
	if !e.Before.IsZero() {
		h.before = nanos(e.Before)
	}
	return h
}

func (h *held) bytes() int64 { return heldBytes + int64(len(h.text)) }

func (h *held) identifier() string { return h.text[:h.id] }

func (h *held) valueText() string { return h.text[h.id : h.id+h.value] }

// event is the event as it was put into the list.
func (h *held) event() Event {
	rest := h.text[h.id+h.value:]
	event := Event{
		ID: h.identifier(), Kind: kinds[h.kind], Issuer: h.issuer.Value(), Value: h.valueText(),
		Until: time.Unix(0, h.until).UTC(), At: time.Unix(0, h.at).UTC(),
		Reason: rest[:h.reasonLen], By: rest[h.reasonLen:],
	}
	if event.Kind == KindToken {
		event.Value = base64.RawURLEncoding.EncodeToString([]byte(event.Value))
	}
	if h.before != always {
		event.Before = time.Unix(0, h.before).UTC()
	}
	return event
}

// is tells whether the event has that name.
func (h *held) is(kind kindIndex, issuer, value string) bool {
	return h.kind == kind && h.valueText() == value && h.issuer.Value() == issuer
}

// covers tells whether the other event of the same name says nothing that this one
// does not say for as long.
func (h *held) covers(other *held) bool { return h.before >= other.before && h.until >= other.until }

// meets tells whether the event is about a token of its name that was issued then.
func (h *held) meets(issued, now int64) bool { return now < h.until && issued <= h.before }
