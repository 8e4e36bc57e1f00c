package exchange

import (
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A shortcut leads from a verified token to what was issued for it a moment ago. To work
// out the key, hash it and look it up costs a request more than all else that an exchange
// does with a remembered token, and most of that is in leaving what it needs in the
// processor's caches. What it finds is what the key would have led to: the token is the
// very object, so its text, claims and scopes are the same, and the exchange never changes.
//
// An entry that the memory has let go, for whatever reason, is not found here either.
type shortcut struct{ token.Slots[lead] }

// A lead says to what a token leads. The number is this exchange's own to note: another one
// that shares the memory may come to the same entry with another reading of the token.
type lead struct {
	number uint64
	kept   *entry
	// In nanoseconds since 1970: when it was noted, since a clock that was set back knows
	// nothing of until, the end of the token or of being fresh.
	from, until int64
}

func (l *lead) holds(now int64) bool { return l.from <= now && now < l.until }

// newShortcut makes one, nil where something beside the token is part of the key (the
// gateway's own key or certificate may become another one) or all callers get one token.
func (x *Exchanger) newShortcut() *shortcut {
	if x.forAll() || x.config.Bind != (Binding{}) || x.state.issued == nil {
		return nil
	}
	return new(shortcut)
}

// note remembers where a caller's token leads to. What lies there gives way only to what
// is used much: else with many callers each request would write here, and find nothing.
func (s *shortcut) note(caller Caller, kept *entry, now time.Time) {
	if s == nil || caller.Token.Number() == 0 {
		return
	}
	number := caller.Token.Number()
	slot := s.At(&caller.Token.Digest)
	switch there := slot.Load(); {
	case there == nil || there.kept.gone.Load():
	case there.number == number && there.kept == kept && there.holds(now.UnixNano()):
		return
	case there.kept != kept && !kept.uses.Seldom():
		return
	}
	until := token.Within(now, earliest(kept.freshUntil, caller.Token.Expiry))
	slot.Store(&lead{number, kept, now.UnixNano(), until.UnixNano()})
}

// find returns what serves this caller, nil where the long way has to be taken: for the
// first time, when the token or what was issued for it has come into its last part, and
// now and then.
func (s *shortcut) find(raw *token.Raw, held *token.Token, now int64) *entry {
	there := s.At(&held.Digest).Load()
	if there == nil || there.number != held.Number() {
		return nil
	}
	switch kept := there.kept; {
	case kept.gone.Load():
		return nil
	case raw.Digest() != held.Digest:
		return nil
	case !there.holds(now) || now >= kept.renewAt.Load() || kept.uses.Seldom():
		return nil
	}
	return there.kept
}
