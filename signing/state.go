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
	// signed is the kid that signed last, as far as anybody was told.
	signed map[Purpose]string
	failed bool // the newest look into the storage
}

// NewState returns an empty state.
func NewState() *State {
	return &State{seen: make(map[string]time.Time), signed: make(map[Purpose]string)}
}

// turn notes whether a look into the storage failed, and tells whether that is
// news.
func (s *State) turn(failed bool) (turned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turned = s.failed != failed
	s.failed = failed
	return turned
}

// signs notes which key signs, and tells which did so before.
func (s *State) signs(purpose Purpose, kid string) (previous string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	previous = s.signed[purpose]
	s.signed[purpose] = kid
	return previous
}

// A view is the set as it was read last. It is immutable.
type view struct {
	set  *set
	raw  []byte // the document itself
	read time.Time
	// current tells whether the document is sealed as it should be.
	current bool
	// firm are the keys that were read back late enough to be believed.
	firm map[*key]bool
}

// replace makes what was read the current view. skew is how far the clock of whoever made
// a key may be behind: by that clock a key of this moment would seem to be settled, and
// this node would hold on to it while another one writes over it.
func (s *State) replace(next *view, skew time.Duration, settle func(*key) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next.firm = make(map[*key]bool, len(next.set.keys))
	for _, k := range next.set.keys {
		first, known := s.seen[k.id]
		if !known {
			first = next.read
			s.seen[k.id] = first
		}
		wait := settle(k)
		// By the clock of whoever made it, or by our own.
		next.firm[k] = next.read.Sub(k.created) >= wait+skew || next.read.Sub(first) >= wait
	}
	maps.DeleteFunc(s.seen, func(kid string, _ time.Time) bool { return next.set.find(kid) == nil })
	s.current.Store(next)
}
