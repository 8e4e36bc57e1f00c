package signing

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// A State is what is known of the keys, whatever the configuration: it outlives a
// reload, so that a gateway whose storage is down goes on signing. It holds no
// settings. The zero value is not ready; use NewState.
type State struct {
	current atomic.Pointer[view]

	mu   sync.Mutex
	seen map[string]time.Time // when each kid was read for the first time
}

// NewState returns an empty state.
func NewState() *State { return &State{seen: make(map[string]time.Time)} }

// A view is the set as it was read last. It is immutable.
type view struct {
	set  *set
	raw  []byte // the document itself
	read time.Time
	// firm are the keys that were read back late enough to be believed.
	firm map[*key]bool
}

// replace makes a set that was read the current one. Keys that were there before
// keep their address, so that tokens that were verified with them stay remembered.
func (s *State) replace(read *set, raw []byte, now time.Time, settle func(*key) time.Duration) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &view{set: read, raw: raw, read: now, firm: make(map[*key]bool, len(read.keys))}
	for _, k := range read.keys {
		first, known := s.seen[k.id]
		if !known {
			first = now
			s.seen[k.id] = now
		}
		wait := settle(k)
		// By the clock of whoever made it, or by our own.
		next.firm[k] = now.Sub(k.created) >= wait || now.Sub(first) >= wait
	}
	maps.DeleteFunc(s.seen, func(kid string, _ time.Time) bool { return read.find(kid) == nil })
	s.current.Store(next)
	return next
}
