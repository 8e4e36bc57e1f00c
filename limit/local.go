package limit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	// DefaultKeys is how many keys one limit remembers at a time.
	DefaultKeys = 1 << 18
	// KeyBytes is the most that one key costs, however long it is: its hash, twice, and
	// the room that maps and slices keep.
	KeyBytes = 160

	// parts lets requests with different keys not wait for each other.
	parts = 16
)

// Local counts in this process. It is bounded: a key that has all of its rate again is
// forgotten, and where there are too many others, the one that would be forgotten next.
// So a flood of new keys drives out new keys, and never one that is used up: whoever can
// make up keys gains nothing by making up many. It reads a monotonic clock and is safe
// for concurrent use.
type Local struct {
	start time.Time
	parts [parts]part

	// What the limits that count here have said, wherever they counted.
	allowed, refused atomic.Uint64
}

// NewLocal makes one that remembers that many keys. Zero or less means DefaultKeys.
func NewLocal(keys int) *Local {
	if keys <= 0 {
		keys = DefaultKeys
	}
	l := &Local{start: time.Now()}
	for i := range l.parts {
		l.parts[i].most = max(keys/parts, 1)
		l.parts[i].known = make(map[hash]*bucket)
	}
	return l
}

// Take implements store.Rates. It fails only where the context has ended.
func (l *Local) Take(ctx context.Context, purpose store.Purpose, key string, rate store.Rate) (store.Taken, error) {
	if err := ctx.Err(); err != nil {
		return store.Taken{}, err
	}
	return l.take(purpose, key, rate), nil
}

func (l *Local) take(purpose store.Purpose, key string, rate store.Rate) store.Taken {
	name := hashOf(purpose, key)
	return l.parts[name[0]%parts].take(name, time.Since(l.start), rate)
}

// Len is how many keys are remembered, those included that have all of their rate again
// and that nobody has cleared away yet.
func (l *Local) Len() int {
	n := 0
	for i := range l.parts {
		n += l.parts[i].len()
	}
	return n
}

// A hash stands for a purpose and a key. Whoever found two with one hash would share
// their count.
type hash [16]byte

func hashOf(purpose store.Purpose, key string) hash {
	text := make([]byte, 0, 256)                                     //nolint:mnd // longer than most, so that it needs no memory of its own
	text = binary.BigEndian.AppendUint32(text, uint32(len(purpose))) //nolint:gosec // a constant of the code
	text = append(append(text, purpose...), key...)
	sum := sha256.Sum256(text)
	return hash(sum[:len(hash{})])
}

// Interface guard.
var _ store.Rates = (*Local)(nil)
