package limit

import (
	"container/heap"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// clearing is how many keys that have all of their rate again one event clears away:
// more than it can add.
const clearing = 2

// A part holds some of the keys. A heap knows which of them has all of its rate again
// next.
type part struct {
	most int

	mu    sync.Mutex
	known map[hash]*bucket
	next  fullest
}

// A bucket is what is known of a key.
type bucket struct {
	name  hash
	full  time.Duration // since the beginning of the Local
	index int
}

func (p *part) take(name hash, now time.Duration, rate store.Rate) store.Taken {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range clearing {
		if len(p.next) > 0 && p.next[0].full <= now {
			p.forgetNext()
		}
	}
	known := p.known[name]
	if known == nil {
		known = p.add(name)
	}
	after, taken := take(known.full, now, rate)
	known.full = after
	heap.Fix(&p.next, known.index)
	return taken
}

func (p *part) add(name hash) *bucket {
	if len(p.next) >= p.most {
		p.forgetNext()
	}
	fresh := &bucket{name: name}
	p.known[name] = fresh
	heap.Push(&p.next, fresh)
	return fresh
}

func (p *part) forgetNext() {
	if forgotten, ok := heap.Pop(&p.next).(*bucket); ok {
		delete(p.known, forgotten.name)
	}
}

func (p *part) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.next)
}

// fullest is a heap of buckets, first the one that has all of its rate again first.
type fullest []*bucket

// Len implements heap.Interface.
func (f *fullest) Len() int { return len(*f) }

// Less implements heap.Interface.
func (f *fullest) Less(i, j int) bool { return (*f)[i].full < (*f)[j].full }

// Swap implements heap.Interface.
func (f *fullest) Swap(i, j int) {
	all := *f
	all[i], all[j] = all[j], all[i]
	all[i].index, all[j].index = i, j
}

// Push implements heap.Interface.
func (f *fullest) Push(x any) {
	if added, ok := x.(*bucket); ok {
		added.index = len(*f)
		*f = append(*f, added)
	}
}

// Pop implements heap.Interface.
func (f *fullest) Pop() any {
	last := len(*f) - 1
	popped := (*f)[last]
	(*f)[last] = nil
	*f = (*f)[:last]
	return popped
}
