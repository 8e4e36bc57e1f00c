package store

import (
	"container/heap"
	"slices"
	"sync"
)

// A shelf holds the values of one purpose. A heap knows which of them ends next.
type shelf struct {
	maxEntries, maxBytes int

	mu     sync.Mutex
	bytes  int
	values map[key]*kept
	// What is on its way to the disk has its room already.
	coming, comingBytes int
	ending              endings
}

// A key stands for what a value was kept under. It is a whole SHA-256: whoever
// found two with one hash would read the other's value.
type key [32]byte

// kept is a value, and its place in the heap.
type kept struct {
	key   key
	value []byte
	until int64 // milliseconds since 1970
	index int
}

func newShelf(maxEntries, maxBytes int) *shelf {
	return &shelf{maxEntries: maxEntries, maxBytes: maxBytes, values: make(map[key]*kept)}
}

// put takes instants in milliseconds since 1970.
func (s *shelf) put(name key, value []byte, now, until int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now, name, len(value))
	if now >= until {
		s.drop(s.values[name])
		return nil
	}
	if !s.hasRoom(name, len(value)) {
		return ErrFull
	}
	s.set(name, slices.Clone(value), until)
	return nil
}

// set keeps a value whose room is sure.
func (s *shelf) set(name key, value []byte, until int64) {
	s.drop(s.values[name])
	fresh := &kept{key: name, value: value, until: until}
	s.values[name] = fresh
	s.bytes += len(value)
	heap.Push(&s.ending, fresh)
}

// reserve makes sure of the room for a value that is on its way to the disk.
func (s *shelf) reserve(name key, size int, now int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now, name, size)
	if !s.hasRoom(name, size) {
		return ErrFull
	}
	s.coming++
	s.comingBytes += size
	return nil
}

// release gives up what reserve made sure of.
func (s *shelf) release(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming--
	s.comingBytes -= size
}

// place keeps a value of which the caller lets go.
func (s *shelf) place(name key, value []byte, until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(name, value, until)
}

// hasRoom tells whether a value of that size may be put there, in place of the one
// that it replaces.
func (s *shelf) hasRoom(name key, size int) bool {
	entries, bytes := len(s.values)+s.coming+1, s.bytes+s.comingBytes+size
	if earlier := s.values[name]; earlier != nil {
		entries, bytes = entries-1, bytes-len(earlier.value)
	}
	return entries <= s.maxEntries && bytes <= s.maxBytes
}

func (s *shelf) get(name key, now int64) (value []byte, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.values[name]
	if held == nil || now >= held.until {
		return nil, false
	}
	return slices.Clone(held.value), true
}

func (s *shelf) delete(name key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(s.values[name])
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

// sweep clears away a few of the values that have ended, and more where room is
// needed, so that no caller pays for all that were kept before.
func (s *shelf) sweep(now int64, name key, size int) {
	for steps := 0; len(s.ending) > 0 && now >= s.ending[0].until; steps++ {
		if steps >= sweepSteps && s.hasRoom(name, size) {
			return
		}
		s.drop(s.ending[0])
	}
}

func (s *shelf) drop(held *kept) {
	if held == nil {
		return
	}
	heap.Remove(&s.ending, held.index)
	delete(s.values, held.key)
	s.bytes -= len(held.value)
}

// endings is a container/heap of values, the one that ends first on top.
type endings []*kept

// Len implements heap.Interface.
func (e *endings) Len() int { return len(*e) }

// Less implements heap.Interface.
func (e *endings) Less(i, j int) bool { return (*e)[i].until < (*e)[j].until }

// Swap implements heap.Interface.
func (e *endings) Swap(i, j int) {
	list := *e
	list[i], list[j] = list[j], list[i]
	list[i].index, list[j].index = i, j
}

// Push implements heap.Interface.
func (e *endings) Push(value any) {
	if held, ok := value.(*kept); ok {
		held.index = len(*e)
		*e = append(*e, held)
	}
}

// Pop implements heap.Interface.
func (e *endings) Pop() any {
	last := len(*e) - 1
	held := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return held
}
