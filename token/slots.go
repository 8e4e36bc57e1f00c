package token

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// slots is how many tokens have room in Slots: a power of two.
const slots = 1024

// Slots lead from a token straight to what was found for it a moment ago, for those who
// would otherwise find out the same again and again. Each token has one place, which it has
// in common with others: who looks must see whether what lies there is its own, and whether
// the memory that it comes from has let it go: until another takes its place it lies here
// still, so that beyond its bound a memory holds 1,024 entries at most. They take 8 KiB, need
// no lock, and are ready to use.
type Slots[T any] [slots]atomic.Pointer[T]

// At is the place of a token.
func (s *Slots[T]) At(digest *Digest) *atomic.Pointer[T] {
	return &s[binary.LittleEndian.Uint16(digest[:])%slots]
}

// Within is that time, or a day from now if it comes later: what lies in Slots is found for
// no longer, so that every time fits into nanoseconds since 1970.
func Within(now, until time.Time) time.Time {
	const day = 24 * time.Hour
	if later := now.Add(day); later.Before(until) {
		return later
	}
	return until
}

// Uses count how often something was found in its place.
type Uses struct{ count atomic.Uint32 }

// usual is of how many uses one is told from the others.
const usual = 16

// Seldom counts one use, and is true for one of sixteen. That one goes the long way, so that
// the memory behind learns which of its entries are used.
func (u *Uses) Seldom() bool { return u.count.Add(1)%usual == 0 }
