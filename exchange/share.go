package exchange

import (
	"crypto/sha256"
	"slices"
	"sync"
)

const (
	// shareOf is which part of the memory one caller may fill, a hundredth, and
	// shareLeast how many tokens it may have remembered however small that is.
	shareOf    = 100
	shareLeast = 16
)

// shares bound what one caller can take of the memory of issued tokens. Somebody
// who logs in again and again, or who has many tokens on purpose, pushes out tokens
// of its own and nobody else's: for all others each request would become a call to
// the server.
//
// They never call the cache, so they may be called where the cache holds locks.
type shares struct {
	most  uint64 // weight
	least int    // entries

	mu   sync.Mutex
	held map[subject]*holding
}

// A holding is what is remembered for one caller, in the order in which it was
// stored.
type holding struct {
	entries []held
	weight  uint64
}

type held struct {
	key    cacheKey
	kept   *entry
	weight uint64
}

func newShares(maxEntries int, maxBytes int64) *shares {
	return &shares{
		most:  uint64(max(maxBytes, 0)) / shareOf,
		least: max(min(shareLeast, maxEntries/2), 1), //nolint:mnd // two callers fit in any memory
		held:  make(map[subject]*holding),
	}
}

// owner names whose share a token belongs to, by the same rule as subjectOf: the
// user, whichever token it was; the client where a token names no user. Tokens that
// name neither, and those that all callers share, are nobody's.
func (o Origin) owner() subject {
	switch {
	case o.Subject != "":
		return sha256.Sum256(appendList(nil, []string{o.Issuer, "sub", o.Subject}))
	case o.Client != "":
		return sha256.Sum256(appendList(nil, []string{o.Issuer, "client", o.Client}))
	default:
		return subject{}
	}
}

// add notes what is stored and returns what has to go for it: the oldest of the same
// caller.
func (s *shares) add(key cacheKey, kept *entry, weight uint64) (over []cacheKey) {
	if kept.owner == (subject{}) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := s.held[kept.owner]
	if mine == nil {
		mine = new(holding)
		s.held[kept.owner] = mine
	}
	mine.drop(func(h held) bool { return h.key == key })
	mine.entries = append(mine.entries, held{key, kept, weight})
	mine.weight += weight
	for len(mine.entries) > s.least && mine.weight > s.most {
		over = append(over, mine.entries[0].key)
		mine.weight -= mine.entries[0].weight
		mine.entries = slices.Delete(mine.entries, 0, 1)
	}
	return over
}

// remove forgets what the cache has let go. What has taken its place stays.
func (s *shares) remove(gone *entry) {
	if gone.owner == (subject{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := s.held[gone.owner]
	if mine == nil {
		return
	}
	mine.drop(func(h held) bool { return h.kept == gone })
	if len(mine.entries) == 0 {
		delete(s.held, gone.owner)
	}
}

func (h *holding) drop(which func(held) bool) {
	if at := slices.IndexFunc(h.entries, which); at >= 0 {
		h.weight -= h.entries[at].weight
		h.entries = slices.Delete(h.entries, at, at+1)
	}
}
