package statuslist

import (
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of what is kept of one issuer.
const (
	maxLists = 64
	maxBytes = 64 << 20 // of all lists together
	// newBurst and newEvery are the budget of fetches for lists that nobody has named
	// lately: whoever holds many tokens must not be able to make the gateway call
	// around.
	newBurst = 16
	newEvery = time.Second
	// maxAtOnce bounds the lists that are read at once, and what that takes of memory.
	maxAtOnce   = 4
	maxRenewals = 2
	// firstRetry and lastRetry bound the waits after a failure, which double.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
	// idle is how long a list is kept fresh that nobody asks for, and idleFailed how
	// long one is remembered that never came.
	idle       = 10 * time.Minute
	idleFailed = time.Minute
)

// A State is what is known of one issuer's lists, and the budget for learning more. It
// holds no settings: configurations come and go, the state stays until the last one
// that uses it is gone. The zero value is not ready; use NewState.
type State struct {
	// entries is replaced as a whole, so that requests look without a lock.
	entries atomic.Pointer[map[string]*entry]
	budget  *rate.Limiter
	slots   chan struct{}
	// renewals are slots of their own: addresses that hang, and that nobody knows yet,
	// must not keep what is known from being renewed.
	renewals chan struct{}

	watches *Watches

	mu    sync.Mutex
	bytes int
	most  int // of bytes
}

// NewState returns an empty state with a full budget, which tells those watches.
func NewState(watches *Watches) *State {
	s := &State{
		budget:   rate.NewLimiter(rate.Every(newEvery), newBurst),
		slots:    make(chan struct{}, maxAtOnce),
		renewals: make(chan struct{}, maxRenewals),
		watches:  watches,
		most:     maxBytes,
	}
	s.entries.Store(new(map[string]*entry))
	return s
}

// An entry is one list by its address, be it there or not.
type entry struct {
	uri  string
	held atomic.Pointer[held]
	used atomic.Int64 // when it was asked last, in seconds

	// Guarded by State.mu.
	underWay *flight
	retry    time.Duration // the last wait after a failure, 0 after a success
	next     time.Time     // no attempt before that
	problem  string        // of the last attempt, "" if it was good
}

// held is a list and how long it serves.
type held struct {
	*List

	fetched time.Time
	renew   time.Time // another one is fetched from then on
	stale   time.Time // another one should be there by then
	until   time.Time // it is not believed from then on
}

// touch notes that the list is in use. Not more than once a second: all requests would
// write to one place.
func (e *entry) touch(now time.Time) {
	if seconds := now.Unix(); e.used.Load() != seconds {
		e.used.Store(seconds)
	}
}

func (e *entry) idleSince(now time.Time, longest time.Duration) bool {
	return now.Sub(time.Unix(e.used.Load(), 0)) > longest
}

func (s *State) find(uri string) *entry { return (*s.entries.Load())[uri] }

// A flight is one fetch of a list, shared by all who want it. It has its own deadline:
// that the one who began it leaves does not end it for others.
type flight struct {
	landed chan struct{}
}

// board joins the fetch of a list that is under way, or begins one if it may; nil if
// it may not. seen is the list that is no good, nil for none; another one may have come
// meanwhile. refused tells that the budget is used up.
func (s *State) board(uri string, seen *held, now time.Time, fetch func(*entry) (*held, error)) (joined *flight, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.find(uri)
	switch {
	case one == nil && !s.budget.AllowN(now, 1):
		return nil, true
	case one == nil:
		one = s.add(uri, now)
	case one.held.Load() != seen:
		return landedAlready, false
	case one.underWay != nil:
		return one.underWay, false
	case now.Before(one.next):
		return nil, false
	}
	started := &flight{landed: make(chan struct{})}
	one.underWay = started
	go func() {
		got, err := fetch(one)
		s.land(one, got, err)
		close(started.landed)
	}()
	return started, false
}

// landedAlready is for those whose list came while they asked for it.
var landedAlready = func() *flight {
	done := &flight{landed: make(chan struct{})}
	close(done.landed)
	return done
}()

// add makes room for a list and notes that it is wanted. It needs the lock.
func (s *State) add(uri string, now time.Time) *entry {
	for len(*s.entries.Load()) >= maxLists {
		s.evict(nil)
	}
	one := &entry{uri: uri}
	one.used.Store(now.Unix())
	next := s.copied()
	next[uri] = one
	s.entries.Store(&next)
	return one
}

func (s *State) copied() map[string]*entry {
	next := make(map[string]*entry, maxLists)
	maps.Copy(next, *s.entries.Load())
	return next
}

// evict forgets the list that was asked for longest ago, but not this one. Those that
// never came go first, and those that streams depend on last. It needs the lock.
func (s *State) evict(but *entry) {
	var worst *entry
	for _, one := range *s.entries.Load() {
		if one != but && (worst == nil || s.worth(one) < s.worth(worst)) {
			worst = one
		}
	}
	if worst != nil {
		s.forget(worst)
	}
}

func (s *State) worth(one *entry) int64 {
	const more = 1 << 40 // than any time in seconds
	worth := one.used.Load()
	if one.held.Load() != nil {
		worth += more
	}
	if s.watches.count(one.uri) > 0 {
		worth += more
	}
	return worth
}

// forget needs the lock.
func (s *State) forget(one *entry) {
	next := s.copied()
	delete(next, one.uri)
	s.entries.Store(&next)
	if had := one.held.Swap(nil); had != nil {
		s.bytes -= len(had.packed)
	}
}

// land stores what a fetch brought, or notes that it brought nothing.
func (s *State) land(one *entry, got *held, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.underWay = nil
	now := time.Now()
	if err != nil {
		one.retry = min(max(2*one.retry, firstRetry), lastRetry)
		// Jitter, so that many gateways do not knock together.
		one.next = now.Add(one.retry/2 + rand.N(one.retry)) //nolint:gosec // not a secret
		one.problem = err.Error()
		return
	}
	one.retry, one.next, one.problem = 0, now.Add(firstRetry), ""
	if s.find(one.uri) != one {
		return // it was forgotten meanwhile
	}
	if had := one.held.Swap(got); had != nil {
		s.bytes -= len(had.packed)
	}
	s.bytes += len(got.packed)
	for s.bytes > s.most {
		s.evict(one)
	}
	s.watches.tell(one.uri, got.List)
}
