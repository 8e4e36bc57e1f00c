package signing

import "time"

const (
	// LongestLife is the longest life of a token that is signed with a key. It
	// bounds how long a retired key must stay published.
	LongestLife = 10 * time.Minute

	// Upper bounds of what follows from the overlap.
	longestMaxAge = 5 * time.Minute
	longestPoll   = 30 * time.Second
	longestSkew   = 30 * time.Second
	longestFirst  = time.Second
)

// Timing says how long keys stay in their states.
type Timing struct {
	// Rotate is how long a key signs. At least twice Overlap. Default: 7d.
	Rotate time.Duration
	// Overlap is how long a key is published before it signs. Default: 1h.
	Overlap time.Duration
}

// withDefaults fills in what is not set.
func (t Timing) withDefaults() Timing {
	if t.Rotate <= 0 {
		t.Rotate = 7 * 24 * time.Hour
	}
	if t.Overlap <= 0 {
		t.Overlap = time.Hour
	}
	return t
}

// The lead of a key, which is the overlap, must be longer than max-age + poll +
// skew: a verifier may keep the key set that long after a node published it, and a
// node learns of a new key that late. So these three are seven eighths of a short
// overlap, and have bounds where it is long.

// MaxAge is how long whoever verifies tokens may keep the key set.
func (t Timing) MaxAge() time.Duration {
	return max(time.Second, min(longestMaxAge, t.Overlap/2).Truncate(time.Second))
}

// Poll is how often a node reads what the others did.
func (t Timing) Poll() time.Duration { return min(longestPoll, t.Overlap/8) }

// skew is how far the clocks of two nodes may be apart.
func (t Timing) skew() time.Duration { return min(longestSkew, t.Overlap/4) }

// lead is how long a key is published before it signs.
func (t Timing) lead() time.Duration { return t.Overlap }

// grace is how long after its planned end a key signs on while the storage, and
// with it every successor, is out of reach.
func (t Timing) grace() time.Duration { return t.Overlap }

// hold is how long a key stays published after its planned end: until the last
// token has ended that a node signed with it in its grace.
func (t Timing) hold() time.Duration {
	return t.grace() + LongestLife + t.MaxAge() + t.skew()
}

// urgent is the lead of a key that replaces one retired in an emergency: every
// node must publish it, but nobody waits for the caches of the world.
func (t Timing) urgent() time.Duration { return t.Poll() + t.skew() }

// settle is how long after a key was made it must still be there to be believed:
// until then another node, which read before it was written, may write over it.
func (t Timing) settle(lead time.Duration) time.Duration {
	return max(lead/2, min(longestFirst, t.Overlap/8))
}
