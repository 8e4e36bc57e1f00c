package statuslist

import (
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A watch is something that goes on for a token for as long as its list allows it.
type watch struct {
	index uint64
	end   func()
	once  sync.Once
}

func (w *watch) call() { w.once.Do(func() { go w.end() }) }

// Watch calls end, once and from another goroutine, as soon as a list is fetched that
// says that the token is no longer good, or at once if it was. A list that cannot be
// had ends nothing. The function returned ends the watch; end may be running then.
func (l *Lists) Watch(status token.Status, end func()) (stop func()) {
	s, one := l.config.State, &watch{index: status.Index, end: end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[status.URI] == nil {
		s.watches[status.URI] = make(map[*watch]struct{})
	}
	s.watches[status.URI][one] = struct{}{}
	if known := s.find(status.URI); known != nil {
		if list := known.held.Load(); list != nil && list.judge(status.Index) != nil {
			one.call()
		}
	}
	return func() { s.unwatch(status.URI, one) }
}

func (s *State) unwatch(uri string, one *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watches[uri], one)
	if len(s.watches[uri]) == 0 {
		delete(s.watches, uri)
	}
}

// tell ends what a list says is over. It needs the lock.
func (s *State) tell(uri string, list *List) {
	for one := range s.watches[uri] {
		if list.judge(one.index) != nil {
			one.call()
		}
	}
}

// due are the lists that are to be fetched: those that are used and grow old, and those
// that streams depend on. Those that nobody uses any more are forgotten.
func (s *State) due(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []string
	for uri, one := range *s.entries.Load() {
		list, watched := one.held.Load(), len(s.watches[uri]) > 0
		switch {
		case list == nil && !watched && one.underWay == nil && one.idleSince(now, idleFailed):
			s.forget(one)
		case list == nil && !watched:
			// Whoever needs it asks for it.
		case list != nil && now.Before(list.renew):
		case !watched && one.idleSince(now, max(idle, list.renew.Sub(list.fetched))):
			s.forget(one)
		default:
			due = append(due, uri)
		}
	}
	for uri := range s.watches {
		if s.find(uri) == nil {
			due = append(due, uri)
		}
	}
	return due
}
