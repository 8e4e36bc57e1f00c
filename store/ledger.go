package store

import (
	"container/heap"
	"sync"
)

// A hash stands for an identifier. Half of a SHA-256 is enough: whoever found two
// identifiers with one hash would have the second refused, and nothing else.
type hash [16]byte

// sweepSteps is how many expired marks one call clears away at most. Each call
// adds one mark at most, so the expired ones always become fewer, and no caller
// pays for all that were made before.
const sweepSteps = 8

// A ledger holds the marks of one purpose. Marks lie in buckets, one a second, and
// a heap knows which second comes next: there are as many buckets as a mark lives
// seconds, whatever the number of marks.
type ledger struct {
	limit int
	keeps bool // whether marks are written down, and wait for it in fresh

	mu      sync.Mutex
	expires map[hash]int64 // in milliseconds: small, because there are many
	buckets map[int64][]hash
	seconds secondHeap // the keys of buckets
	fresh   []stamped
}

func newLedger(limit int, keeps bool) *ledger {
	return &ledger{limit: limit, keeps: keeps, expires: make(map[hash]int64), buckets: make(map[int64][]hash)}
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.expires)
}

// mark takes instants in milliseconds since 1970.
func (l *ledger) mark(id hash, now, until int64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	expiry, known := l.expires[id]
	switch {
	case known && now < expiry, now >= until:
		return false, nil
	case !known && len(l.expires) >= l.limit:
		return false, ErrFull
	}
	l.insert(id, until)
	if l.keeps {
		l.fresh = append(l.fresh, stamped{id: id, until: until})
	}
	return true, nil
}

func (l *ledger) insert(id hash, until int64) {
	l.expires[id] = until
	second := bucketOf(until)
	if _, ok := l.buckets[second]; !ok {
		heap.Push(&l.seconds, second)
	}
	l.buckets[second] = append(l.buckets[second], id)
}

// bucketOf is the second by whose beginning every mark in the bucket has expired.
func bucketOf(until int64) int64 { return until/1000 + 1 }

// sweep clears away a few of the marks that have expired.
func (l *ledger) sweep(now int64) {
	for range sweepSteps {
		if len(l.seconds) == 0 || now/1000 < l.seconds[0] {
			return
		}
		second := l.seconds[0]
		bucket := l.buckets[second]
		last := len(bucket) - 1
		// A mark that was made anew after it had expired lies in two buckets, and
		// only the later one may remove it.
		if id := bucket[last]; bucketOf(l.expires[id]) == second {
			delete(l.expires, id)
		}
		if l.buckets[second] = bucket[:last]; last == 0 {
			delete(l.buckets, second)
			heap.Pop(&l.seconds)
		}
	}
}

// A secondHeap is a container/heap of seconds, the earliest first.
type secondHeap []int64

// Len implements heap.Interface.
func (h *secondHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *secondHeap) Less(i, j int) bool { return (*h)[i] < (*h)[j] }

// Swap implements heap.Interface.
func (h *secondHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *secondHeap) Push(second any) {
	if value, ok := second.(int64); ok {
		*h = append(*h, value)
	}
}

// Pop implements heap.Interface.
func (h *secondHeap) Pop() any {
	last := len(*h) - 1
	second := (*h)[last]
	*h = (*h)[:last]
	return second
}
