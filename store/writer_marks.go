package store

import (
	"errors"
	"time"
)

// frameMarks is how many marks are written at once at most.
const frameMarks = 1 << 18

// writeMarks is the goroutine that writes marks, a little after they were made.
func (m *Memory) writeMarks() {
	d := m.disk
	defer d.written.Done()
	every := time.NewTicker(flushEvery)
	defer every.Stop()
	slack := d.marksSlack
	for {
		select {
		case <-d.ended:
			_ = m.flushMarks()
			return
		case <-every.C:
		}
		if m.flushMarks() != nil || d.marks.size <= 2*m.marksSize()+slack {
			continue
		}
		if err := m.rewriteMarks(); err != nil {
			slack += d.marks.size / 4
		} else {
			slack = d.marksSlack
		}
	}
}

// flushMarks writes down the marks that were made since. Those that it could not write
// down wait for the next time.
func (m *Memory) flushMarks() error {
	for {
		var changes []byte
		taken := make(map[*ledger][]stamped)
		room := frameMarks
		for purpose, book := range m.allLedgers() {
			if fresh := book.take(room); len(fresh) > 0 {
				room -= len(fresh)
				taken[book] = fresh
				changes = appendMarks(changes, purpose, fresh)
			}
		}
		switch {
		case len(taken) == 0 && m.disk.troubled(1) == nil:
			return nil
		case len(taken) == 0:
			return m.disk.failed(1, m.disk.marks.commit(appendNothing(nil)))
		}
		if err := m.disk.failed(1, m.disk.marks.commit(changes)); err != nil {
			now := time.Now().UnixMilli()
			for book, fresh := range taken {
				book.giveBack(fresh, now)
			}
			return err
		}
	}
}

// marksSize is about what the file of marks needs.
func (m *Memory) marksSize() (size int64) {
	for _, book := range m.allLedgers() {
		size += int64(book.len() * stampedSize)
	}
	return size
}

func (m *Memory) rewriteMarks() error {
	d := m.disk
	fresh, err := createFile(d.marks.path, m.emitMarks)
	if err != nil {
		return err
	}
	err = d.marks.close()
	d.marks = fresh
	return err
}

// emitMarks hands out all marks, bucket by bucket, so that no lock is held for longer
// than it takes to copy one. A mark lives until the end of its bucket then, a second
// longer at most.
func (m *Memory) emitMarks(commit func([]byte) error) error {
	now := time.Now().UnixMilli()
	var errs []error
	for purpose, book := range m.allLedgers() {
		for _, second := range book.live(now) {
			marks := book.bucket(second)
			for len(marks) > 0 {
				some := marks[:min(len(marks), frameMarks)]
				marks = marks[len(some):]
				errs = append(errs, commit(appendMarks(nil, purpose, some)))
			}
		}
	}
	return errors.Join(errs...)
}
