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
type shortcut struct{ token.Slots[entry] }

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
func (s *shortcut) note(caller Caller, kept *entry) {
	if s == nil || caller.Token.Number() == 0 {
		return
	}
	slot := s.At(&caller.Token.Digest)
	if there := slot.Load(); there == nil || there == kept || there.gone.Load() || kept.uses.Add(1)%looked == 0 {
		kept.caller.Store(caller.Token.Number())
		slot.Store(kept)
	}
}

// looked is of how many uses of an entry one goes the long way, so that the memory learns
// which of its entries are used.
const looked = 16

// find returns what serves this caller, nil where the long way has to be taken: for the
// first time, when the token or what was issued for it has come into its last part, and
// now and then.
func (s *shortcut) find(caller Caller, now time.Time) *entry {
	if s == nil || caller.Token == nil {
		return nil
	}
	kept := s.At(&caller.Token.Digest).Load()
	switch {
	case kept == nil || kept.gone.Load() || kept.caller.Load() != caller.Token.Number():
		return nil
	case caller.Raw.Digest() != caller.Token.Digest || !now.Before(caller.Token.Expiry):
		return nil
	case !now.Before(kept.freshUntil) || now.UnixNano() >= kept.renewAt.Load() || kept.uses.Add(1)%looked == 0:
		return nil
	}
	return kept
}
