package proof

import (
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Shares bound what one key can take of the memory of used proofs, which all keys
// share: no key has more of it than is still free. One that proves without end gets
// half of it and is refused then; everybody else goes on.
//
// They count by a sketch, since there may be a million keys: a key has one counter in
// each row, by a hash that nobody outside can compute, and counts as the smaller of
// them says. So nobody can choose a key that shares its counters with a certain other
// one, and two keys do by chance one time in a million.
type Shares struct {
	room int
	span time.Duration // of one part of a counter
	seed maphash.Seed
	all  counter
	of   [rows][columns]counter
}

const (
	rows    = 2
	columns = 1 << 10
)

// NewShares makes shares of nobody in a memory of that many marks, for proofs that are
// good for a window. Zero means store.DefaultMarks and DefaultWindow.
func NewShares(room int, window time.Duration) *Shares {
	if room <= 0 {
		room = store.DefaultMarks
	}
	if window <= 0 {
		window = DefaultWindow
	}
	// A mark lives for the window and a second, and longer by what a client's clock is
	// ahead. Two parts more, since time lies somewhere within one.
	return &Shares{room: room, span: (window + MaxLeeway + time.Second) / (parts - 2), seed: maphash.MakeSeed()}
}

// admits tells whether a key may have one more mark. Whoever made it says so by count.
func (s *Shares) admits(key token.Thumbprint, now time.Time) bool {
	first := s.part(now)
	mine := math.MaxInt
	for _, held := range s.counters(key) {
		mine = min(mine, held.live(first))
	}
	return mine < s.room-s.all.live(first)
}

// count notes a mark that lives until then.
func (s *Shares) count(key token.Thumbprint, until time.Time) {
	last := s.part(until)
	for _, held := range s.counters(key) {
		held.add(last)
	}
	s.all.add(last)
}

func (s *Shares) counters(key token.Thumbprint) [rows]*counter {
	sum := maphash.Bytes(s.seed, key[:])
	return [rows]*counter{&s.of[0][sum%columns], &s.of[1][sum/columns%columns]}
}

func (s *Shares) part(at time.Time) uint64 { return uint64(at.UnixNano()) / uint64(s.span) } //nolint:gosec // after 1970

// A counter counts marks by the part of time in which they end. A part has its number
// in its upper half, so that one that is over need not be emptied.
type counter [parts]atomic.Uint64

const (
	parts    = 16
	tagBits  = 32
	countsIn = 1<<tagBits - 1
)

// live is how many marks end in that part or later.
func (c *counter) live(first uint64) int {
	n := 0
	for i := range c {
		if word := c[i].Load(); word>>tagBits >= first {
			n += int(word & countsIn)
		}
	}
	return n
}

func (c *counter) add(part uint64) {
	word := &c[part%parts]
	for {
		old := word.Load()
		next := old + 1
		if old>>tagBits != part {
			next = part<<tagBits | 1
		}
		if word.CompareAndSwap(old, next) {
			return
		}
	}
}
