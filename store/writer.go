package store

import "context"

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
			d.abandonRewrite()
			return
		case done := <-d.rewritten:
			d.finishRewrite(done)
			continue
		case first := <-d.queue:
			batch = append(batch[:0], first)
		}
		for len(batch) < batchChanges && len(d.queue) > 0 {
			batch = append(batch, <-d.queue)
		}
		m.commit(batch)
		clear(batch)
		m.startRewrite()
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
		if err = m.disk.records.there(); err == nil {
			err = m.disk.records.commit(changes)
		}
		err = m.disk.failed(0, err)
	}
	if err == nil && m.disk.rewritten != nil {
		m.disk.since = append(m.disk.since, changes)
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
