package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a store with a path.
const (
	// flushEvery is how long a mark may wait until it is written down.
	flushEvery = 200 * time.Millisecond
	// lockPatience is how long Open waits for a process that is about to end.
	lockPatience = 3 * time.Second
	lockPause    = 100 * time.Millisecond
)

// What a file may be larger than twice what is still good in it, before it is written
// anew.
const (
	recordsSlack = 16 << 20
	marksSlack   = 4 << 20
)

var errLocked = errors.New("another process has it open")

// A disk is where a store with a path writes down what it holds: two files, because
// records and values wait for the disk and marks do not. After Open one goroutine
// writes each of them, until Close.
type disk struct {
	directory    string
	slack, grace int64 // how much past there may be in the file of records
	marksSlack   int64 // and in the file of marks

	opening sync.Mutex
	state   atomic.Int32
	lock    *os.File
	records *file
	marks   *file
	queue   chan *change
	ended   chan struct{} // closed when Close begins
	written sync.WaitGroup
	stopped chan struct{} // closed when nobody takes from the queue any more
	// Of the goroutine that writes records.
	rewritten chan rewriting // nil unless the file is being written anew
	since     [][]byte       // what was committed meanwhile

	mu      sync.Mutex
	trouble [2]error // of the last write of each file
}

// The states of a disk.
const (
	diskNew int32 = iota
	diskOpen
	diskClosed
)

func newDisk(directory string) *disk {
	return &disk{
		directory: directory, slack: recordsSlack, marksSlack: marksSlack,
		queue: make(chan *change, batchChanges), ended: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// ready tells whether the store may be used. A store without a path always may.
func (d *disk) ready() error {
	if d == nil {
		return nil
	}
	switch d.state.Load() {
	case diskNew:
		return fmt.Errorf("%w: it is not open yet", ErrUnavailable)
	case diskClosed:
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	return nil
}

// over is closed when the store is; never for a store without a path.
func (d *disk) over() <-chan struct{} {
	if d == nil {
		return nil
	}
	return d.ended
}

// Open implements Store. Of a store with a path it reads the files, or makes them, and
// keeps every other process away. It fails where another one has them after three
// seconds still, where they cannot be read or written, and where they are damaged.
func (m *Memory) Open(ctx context.Context) error {
	d := m.disk
	if d == nil {
		return nil
	}
	d.opening.Lock()
	defer d.opening.Unlock()
	switch d.state.Load() {
	case diskOpen:
		return nil
	case diskClosed:
		return d.ready()
	}
	if err := d.open(ctx, m); err != nil {
		m.forget()
		return fmt.Errorf("opening the store: %w", errors.Join(err, d.letGo()))
	}
	m.startRewrite()
	d.written.Add(2)
	go m.writeRecords()
	go m.writeMarks()
	d.state.Store(diskOpen)
	return nil
}

func (d *disk) open(ctx context.Context, m *Memory) (err error) {
	if err := os.MkdirAll(d.directory, 0o700); err != nil {
		return unwritable(d.directory, err)
	}
	_ = syncDirectory(filepath.Dir(d.directory)) // where that may not be read it was not made just now
	if d.lock, err = d.acquire(ctx); err != nil {
		return err
	}
	into := restoring{m: m, now: time.Now().UnixMilli()}
	if d.records, err = d.load("records", "what was revoked and issued", into, m.cut()); err != nil {
		return err
	}
	d.marks, err = d.load("marks", "which proofs were used", into, m.emitMarks)
	return err
}

func unwritable(directory string, err error) error {
	return fmt.Errorf("%s cannot be used: %w: name a directory that the gateway may write to with store memory <path>", directory, err)
}

// acquire waits a little for another process: one that is being replaced ends soon.
func (d *disk) acquire(ctx context.Context) (*os.File, error) {
	limit := time.NewTimer(lockPatience)
	defer limit.Stop()
	for {
		lock, err := lockFile(filepath.Join(d.directory, "lock"))
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, unwritable(d.directory, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			return nil, fmt.Errorf("another process has %s open: give each its own with store memory <path>", d.directory)
		case <-time.After(lockPause):
		}
	}
}

// load reads a file, or makes it where there is none.
func (d *disk) load(
	name, held string, into restoring, fill func(func([]byte) error) error,
) (*file, error) {
	path := filepath.Join(d.directory, name)
	if err := os.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	opened, err := openFile(path, func(changes []byte) error { return restoreAll(changes, into) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path, fill)
	case errors.Is(err, errDamaged):
		return nil, fmt.Errorf("reading %s: %w: put back a copy of it, or move it away to go on without %s", path, err, held)
	}
	return opened, err
}

// Probe implements Store. A store without a path always answers. One with a path
// tells of the last write that failed, until one succeeds: it tries.
func (m *Memory) Probe(ctx context.Context) error {
	if err := m.disk.ready(); err != nil {
		return err
	}
	if m.disk == nil {
		return nil
	}
	records, marks := m.disk.troubled(0), m.disk.troubled(1)
	if records != nil {
		records = m.disk.do(ctx, &change{stage: func(to []byte) ([]byte, error) { return appendNothing(to), nil }})
	}
	return errors.Join(records, marks)
}

// Close implements Store. Marks that wait to be written down are written down; calls
// that wait fail.
func (m *Memory) Close() error {
	d := m.disk
	if d == nil {
		return nil
	}
	d.opening.Lock()
	defer d.opening.Unlock()
	before := d.state.Swap(diskClosed)
	if before == diskClosed {
		return nil
	}
	close(d.ended)
	d.written.Wait()
	if err := errors.Join(d.troubled(1), d.letGo()); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// letGo closes what is open.
func (d *disk) letGo() error {
	var errs []error
	for _, open := range []**file{&d.records, &d.marks} {
		if *open != nil {
			errs = append(errs, (*open).close())
			*open = nil
		}
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
		d.lock = nil
	}
	return errors.Join(errs...)
}

// failed remembers how the last write of a file went, for Probe.
func (d *disk) failed(which int, err error) error {
	if err != nil {
		err = fmt.Errorf("%w: writing to %s: %w", ErrUnavailable, d.directory, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble[which] = err
	return err
}

func (d *disk) troubled(which int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trouble[which]
}
