package store

import (
	"container/heap"
	"context"
	"slices"
	"sort"
	"sync"
	"time"
)

// A journal holds the records of one log in the order of their numbers. A heap knows
// which of them ends next. What has ended stays in the list until a fifth of it is like
// that, so that nobody moves a long list for each record.
type journal struct {
	maxRecords, maxBytes int

	mu      sync.Mutex
	last    uint64 // the number of the newest record
	shown   uint64 // the number up to which readers see records
	bytes   int
	ids     map[string]*entry
	records []*entry
	ending  entryHeap
	grown   chan struct{} // closed when shown grows
}

// An entry is a record that is kept. There may be millions, so it is small: the
// identifier and the data are one text, and the index of identifiers points into it.
type entry struct {
	number   uint64
	until    int64 // milliseconds since 1970
	text     string
	idLength int
	gone     bool
}

func (e *entry) id() string   { return e.text[:e.idLength] }
func (e *entry) data() string { return e.text[e.idLength:] }

// Limits of one look at a journal, so that nobody holds its lock for long.
const (
	pageRecords = 1024
	pageLooks   = 8192
	// tidyRecords is a list so short that ended records in it disturb nobody.
	tidyRecords = 64
)

func newJournal(maxRecords, maxBytes int) *journal {
	return &journal{
		maxRecords: maxRecords, maxBytes: maxBytes,
		ids: make(map[string]*entry), grown: make(chan struct{}),
	}
}

// add puts a record at the end, which nobody sees before show. It returns the record
// with that identifier where there is one already, and none where the instant has
// passed. Times are in milliseconds. One that is leaving leaves Reserve of the room.
func (j *journal) add(id, data string, now, until int64, leaving bool) (*entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := len(id) + len(data)
	room := j.room(leaving)
	j.sweep(now, size, room)
	held := j.ids[id]
	switch {
	case held != nil && now < held.until:
		return held, nil
	case now >= until:
		return nil, nil //nolint:nilnil // there is nothing to add, and nothing wrong
	case held != nil:
		j.drop(held)
	}
	if !j.fits(size, room) {
		return nil, ErrFull
	}
	j.last++
	added := &entry{number: j.last, until: until, text: id + data, idLength: len(id)}
	j.insert(added)
	return added, nil
}

func (j *journal) insert(added *entry) {
	j.ids[added.id()] = added
	j.records = append(j.records, added)
	j.bytes += len(added.text)
	heap.Push(&j.ending, added)
}

// A room is how many records there may be, and how many octets in them.
type room struct{ records, bytes int }

func (j *journal) room(leaving bool) room {
	all := room{j.maxRecords, j.maxBytes}
	if leaving {
		all = room{all.records - Reserve(all.records), all.bytes - Reserve(all.bytes)}
	}
	return all
}

func (j *journal) fits(size int, in room) bool {
	return len(j.ids) < in.records && j.bytes+size <= in.bytes
}

// show lets readers see all records.
func (j *journal) show() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.shown == j.last {
		return
	}
	j.shown = j.last
	close(j.grown)
	j.grown = make(chan struct{})
}

// withdraw takes back the records that were not shown.
func (j *journal) withdraw() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.shown == j.last {
		return
	}
	for len(j.records) > 0 && j.records[len(j.records)-1].number > j.shown {
		last := len(j.records) - 1
		j.drop(j.records[last])
		j.records[last] = nil
		j.records = j.records[:last]
	}
	j.last = j.shown
	j.ending = slices.DeleteFunc(j.ending, func(e *entry) bool { return e.gone })
	heap.Init(&j.ending)
}

// sweep clears away a few of the records that ended Grace ago, and whatever has ended
// where room is needed.
func (j *journal) sweep(now int64, size int, in room) {
	for steps := 0; len(j.ending) > 0 && now >= j.ending[0].until; steps++ {
		kept := steps >= sweepSteps || now < j.ending[0].until+Grace.Milliseconds()
		if kept && j.fits(size, in) {
			break
		}
		if ended, ok := heap.Pop(&j.ending).(*entry); ok {
			j.drop(ended)
		}
	}
	if len(j.records) > tidyRecords+len(j.ids)+len(j.ids)/4 {
		j.records = slices.Clip(slices.DeleteFunc(j.records, func(e *entry) bool { return e.gone }))
	}
}

// drop lets go of a record. Its place in the heap goes when it is on top.
func (j *journal) drop(ended *entry) {
	if ended.gone {
		return
	}
	ended.gone = true
	delete(j.ids, ended.id())
	j.bytes -= len(ended.text)
}

func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.ids)
}

// A page is what one look at a journal found.
type page struct {
	records []*entry
	next    uint64          // the number to go on from
	more    bool            // there is something behind next
	grown   <-chan struct{} // closed when there is something new
}

// look finds the records behind a number; ok is false if that number is none of this
// journal's yet.
func (j *journal) look(after uint64, limit int, now int64) (found page, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if after > j.shown {
		return page{}, false
	}
	found = page{next: j.shown, grown: j.grown}
	start := sort.Search(len(j.records), func(i int) bool { return j.records[i].number > after })
	for looked, held := range j.records[start:] {
		switch {
		case held.number > j.shown:
			return found, true
		case len(found.records) >= min(limit, pageRecords), looked >= pageLooks:
			found.next, found.more = j.records[start+looked-1].number, true
			return found, true
		case !held.gone && now < held.until:
			found.records = append(found.records, held)
		}
	}
	return found, true
}

// read is look, waiting for the first record up to that long, or until all is over.
func (j *journal) read(ctx context.Context, over <-chan struct{}, after uint64, limit int, wait time.Duration) (page, error) {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for {
		found, ok := j.look(after, limit, time.Now().UnixMilli())
		switch {
		case !ok:
			return page{}, ErrReset
		case len(found.records) > 0:
			return found, nil
		}
		after = found.next
		switch {
		case found.more:
			continue
		case wait <= 0:
			return found, nil
		}
		select {
		case <-ctx.Done():
			return page{}, ctx.Err()
		case <-over:
			return page{}, ErrUnavailable
		case <-enough.C:
			return found, nil
		case <-found.grown:
		}
	}
}

// entryHeap is a container/heap of records, the one that ends first on top.
type entryHeap []*entry

// Len implements heap.Interface.
func (h *entryHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *entryHeap) Less(i, j int) bool { return (*h)[i].until < (*h)[j].until }

// Swap implements heap.Interface.
func (h *entryHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *entryHeap) Push(value any) {
	if held, ok := value.(*entry); ok {
		*h = append(*h, held)
	}
}

// Pop implements heap.Interface.
func (h *entryHeap) Pop() any {
	last := len(*h) - 1
	held := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return held
}
