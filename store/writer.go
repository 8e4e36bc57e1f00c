package store

import (
	"context"
	"fmt"
)

// batchChanges is how many changes share one write to the disk at most. Those that
// come while one is under way wait for the next, all together.
const batchChanges = 256

// A change is something that a caller wants on the disk before anybody sees it. Its
// functions run in the goroutine that writes, one after the other.
type change struct {
	stage func(to []byte) ([]byte, error) // decides, and writes down what is to be kept
	apply func()                          // it is on the disk
	undo  func()                          // it is not
	done  chan error
}

// do waits until a change is on the disk.
func (d *disk) do(ctx context.Context, c *change) error {
	c.done = make(chan error, 1)
	select {
	case d.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stopped:
		return d.ready()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stopped:
	}
	select {
	case err := <-c.done:
		return err
	default:
		return d.ready()
	}
}

// writeRecords is the goroutine that writes records and values.
func (m *Memory) writeRecords() {
	d := m.disk
	defer d.written.Done()
	defer close(d.stopped)
	var batch []*change
	for {
		select {
		case <-d.ended:
			return
		case first := <-d.queue:
			batch = append(batch[:0], first)
		}
		for len(batch) < batchChanges && len(d.queue) > 0 {
			batch = append(batch, <-d.queue)
		}
		m.commit(batch)
		clear(batch)
		m.rewriteRecords()
	}
}

// commit writes changes to the disk, all or none, and tells who waits.
func (m *Memory) commit(batch []*change) {
	var changes []byte
	staged := batch[:0]
	for _, c := range batch {
		grown, err := c.stage(changes)
		if err != nil {
			c.done <- err
			continue
		}
		changes, staged = grown, append(staged, c)
	}
	var err error
	if len(changes) > 0 {
		err = m.disk.failed(0, m.disk.records.commit(changes))
	}
	for _, c := range staged {
		switch {
		case err == nil && c.apply != nil:
			c.apply()
		case err != nil && c.undo != nil:
			c.undo()
		}
		c.done <- err
	}
}

// rewriteRecords writes the file anew when most of it is past. Until that is done
// changes wait. Where it fails the old file goes on, and grows some more before the
// next attempt.
func (m *Memory) rewriteRecords() {
	d := m.disk
	if d.records.size <= 2*m.recordsSize()+d.recordsSlack {
		return
	}
	fresh, err := createFile(d.records.path, m.emitRecords)
	if err != nil {
		d.recordsSlack += d.records.size / 4
		return
	}
	_ = d.records.close() // nothing in it counts any more
	d.records, d.recordsSlack = fresh, recordsSlack
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

// emitRecords hands out all that the file of records needs to hold. It runs in the
// goroutine that writes, which alone changes journals and shelves, so that it needs no
// lock to read them.
func (m *Memory) emitRecords(commit func([]byte) error) error {
	out := emitter{commit: commit}
	out.add(appendLife(out.changes, m.life))
	for log, journal := range m.allJournals() {
		for _, held := range journal.records {
			if !held.gone {
				out.add(appendRecord(out.changes, log, held))
			}
		}
		out.add(appendNumber(out.changes, log, journal.last))
	}
	for purpose, shelf := range m.allShelves() {
		for _, held := range shelf.ending {
			out.add(appendValue(out.changes, purpose, held.key, held.until, held.value))
		}
	}
	return out.flush()
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
		_ = e.flush()
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
