package statuslist

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Watches are the streams of one issuer's tokens that go on for as long as their lists
// allow it. They outlive what a State knows: a configuration that believes other lists
// has another State, and it is the one that learns what becomes of them.
type Watches struct {
	mu    sync.Mutex
	byURI map[string]map[*watch]struct{}
}

// NewWatches returns none.
func NewWatches() *Watches { return &Watches{byURI: make(map[string]map[*watch]struct{})} }

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
	s.watches.add(status.URI, one) // before the list is looked at: none may come between
	if known := s.find(status.URI); known != nil {
		if list := known.held.Load(); list != nil && list.judge(status.Index) != nil {
			one.call()
		}
	}
	return func() { s.watches.remove(status.URI, one) }
}

func (w *Watches) add(uri string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byURI[uri] == nil {
		w.byURI[uri] = make(map[*watch]struct{})
	}
	w.byURI[uri][one] = struct{}{}
}

func (w *Watches) remove(uri string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byURI[uri], one)
	if len(w.byURI[uri]) == 0 {
		delete(w.byURI, uri)
	}
}

func (w *Watches) count(uri string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byURI[uri])
}

// lists are the addresses of those that streams depend on.
func (w *Watches) lists() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.byURI))
}

// tell ends what a list says is over; without a list, all that depends on it.
func (w *Watches) tell(uri string, list *List) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.byURI[uri] {
		if list == nil || list.judge(one.index) != nil {
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
		list, watched := one.held.Load(), s.watches.count(uri) > 0
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
	for _, uri := range s.watches.lists() {
		if s.find(uri) == nil {
			due = append(due, uri)
		}
	}
	return due
}
