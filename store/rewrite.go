package store

import (
	"fmt"
	"slices"
)

// A rewriting is how the writing anew of a file went.
type rewriting struct {
	fresh *file
	err   error
}

// startRewrite begins to write the file of records anew when most of it is past. That
// goes on beside the ordinary writing: what is committed meanwhile is kept in since,
// and comes behind it in the end.
func (m *Memory) startRewrite() {
	d := m.disk
	if d.rewritten != nil || d.records.size <= 2*m.recordsSize()+d.slack+d.grace {
		return
	}
	done, path, emit := make(chan rewriting, 1), d.records.path, m.cut()
	d.rewritten = done
	go func() {
		fresh, err := writeFile(path, func(commit func([]byte) error) error {
			return emit(func(changes []byte) error {
				select {
				case <-d.ended:
					return fmt.Errorf("%w: it is closed", ErrUnavailable)
				default:
					return commit(changes)
				}
			})
		})
		done <- rewriting{fresh, err}
	}()
}

// finishRewrite puts a file that was written anew in the place of the old one. Where
// that fails the old one goes on, and grows some more before the next attempt.
func (d *disk) finishRewrite(done rewriting) {
	since := d.since
	d.rewritten, d.since = nil, nil
	if done.err == nil {
		out := emitter{commit: done.fresh.commit}
		for _, changes := range since {
			out.add(append(out.changes, changes...))
		}
		done.err = out.flush()
	}
	if done.err == nil {
		done.err = done.fresh.install()
	}
	if done.err != nil {
		d.grace += d.records.size / 4
		if done.fresh != nil {
			_ = done.fresh.discard() // the next attempt begins with it, or Open does away with it
		}
		return
	}
	_ = d.records.close() // nothing in it counts any more
	d.records, d.grace = done.fresh, 0
}

// abandonRewrite waits for the end of a writing anew that nobody wants any more.
func (d *disk) abandonRewrite() {
	if d.rewritten == nil {
		return
	}
	if done := <-d.rewritten; done.fresh != nil {
		_ = done.fresh.discard() // Open does away with it
	}
	d.rewritten, d.since = nil, nil
}

// recordsSize is about what the file of records needs.
func (m *Memory) recordsSize() (size int64) {
	const each = 64 // what a record or a value needs besides its text
	for _, journal := range m.allJournals() {
		size += int64(journal.bytes + each*len(journal.ids))
	}
	for _, shelf := range m.allShelves() {
		size += int64(shelf.bytes + each*len(shelf.values))
	}
	return size
}

// cut takes note of all that the file of records needs to hold at this moment, and
// returns what hands it out. It runs in the goroutine that writes, which alone changes
// journals and shelves, so that it needs no lock to read them; what it took note of
// never changes.
func (m *Memory) cut() (emit func(commit func([]byte) error) error) {
	type logCut struct {
		log     Purpose
		records []*entry
		last    uint64
	}
	type shelfCut struct {
		purpose Purpose
		values  []*kept
	}
	journals, onShelves := m.allJournals(), m.allShelves()
	logs := make([]logCut, 0, len(journals))
	for log, journal := range journals {
		live := make([]*entry, 0, len(journal.ids))
		for _, held := range journal.records {
			if !held.gone {
				live = append(live, held)
			}
		}
		logs = append(logs, logCut{log, live, journal.last})
	}
	shelves := make([]shelfCut, 0, len(onShelves))
	for purpose, shelf := range onShelves {
		shelves = append(shelves, shelfCut{purpose, slices.Clone(shelf.ending)})
	}
	return func(commit func([]byte) error) error {
		out := emitter{commit: commit}
		out.add(appendLife(out.changes, m.life))
		for _, from := range logs {
			for _, held := range from.records {
				out.add(appendRecord(out.changes, from.log, held))
			}
			out.add(appendNumber(out.changes, from.log, from.last))
		}
		for _, from := range shelves {
			for _, held := range from.values {
				out.add(appendValue(out.changes, from.purpose, held.key, held.until, held.value))
			}
		}
		return out.flush()
	}
}

// An emitter gathers changes into frames.
type emitter struct {
	commit  func([]byte) error
	changes []byte
	err     error
}

const emitSize = 1 << 20

func (e *emitter) add(grown []byte) {
	if e.changes = grown; len(grown) >= emitSize {
		_ = e.flush() // the last flush tells
	}
}

func (e *emitter) flush() error {
	if e.err == nil && len(e.changes) > 0 {
		e.err = e.commit(e.changes)
	}
	e.changes = e.changes[:0]
	if e.err != nil {
		return fmt.Errorf("writing anew: %w", e.err)
	}
	return nil
}
