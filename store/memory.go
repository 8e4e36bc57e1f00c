package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Defaults and bounds of Memory.
const (
	// DefaultMarks is how many marks one purpose may have at a time: with the
	// minute that a DPoP proof lives, some seventeen thousand new ones a second.
	DefaultMarks = 1 << 20
	// MarkBytes is the most that one mark costs, whatever its identifier: its hash,
	// twice, and the room that maps and slices keep.
	MarkBytes = 128
	// maxPurposes is far above the number of purposes in the code.
	maxPurposes = 64

	// DefaultValues and DefaultValueBytes are how many values one purpose may have
	// at a time, and how many octets all of them together.
	DefaultValues     = 1 << 17
	DefaultValueBytes = 64 << 20

	// DefaultRecords and DefaultRecordBytes are how many records one log may have at a
	// time, and how many octets all of them together.
	DefaultRecords     = 1 << 21
	DefaultRecordBytes = DefaultRecords * recordBytes
	recordBytes        = 256
)

// Memory is the store of one process. It is bounded in entries and so in bytes: a mark
// costs MarkBytes, and each purpose has a budget of its own. What has ended is cleared
// away by later calls. It reads time.Now and is safe for concurrent use. Whoever shares
// it between configurations keeps it alive as long as any of them.
//
// Without a path it forgets everything with the process, needs no Open and has nothing
// in the background. With a path it is used between Open and Close, answers from memory
// all the same, and writes down what it holds:
//
// Records and values are on the disk, written through, before Append, Put or Delete
// returns nil. Calls that come at once share a write. No end of the process and no
// loss of power takes away what was acknowledged. Where the disk is full or fails the
// call fails with ErrUnavailable, and nobody sees the record or the value.
//
// Marks are written down behind, every 200 ms and by Close. A process that is killed
// loses those of its last moment, 200 ms and the time of a write, and with them nothing
// else: a proof of that moment could be used once more while it is valid.
type Memory struct {
	perPurpose int
	perLog     int
	disk       *disk  // nil without a path
	life       string // parts the logs of this store from those of any other

	mu       sync.RWMutex
	purposes map[Purpose]*ledger
	shelves  map[Purpose]*shelf
	journals map[Purpose]*journal
}

// Interface guards.
var (
	_ Store    = (*Memory)(nil)
	_ Reserver = (*Memory)(nil)
)

// A MemoryConfig tells where a store with a path is, and how much it holds.
type MemoryConfig struct {
	// Path is the directory for its files, which Open makes where there is none. No
	// other process may use it at the same time. Required.
	Path string
	// Marks is how many live marks each purpose may have. Default: DefaultMarks.
	Marks int
	// Records is how many live records each log may have; all together they may have
	// 256 octets a record. Default: DefaultRecords.
	Records int
}

// NewMemory makes an empty store without a path, in which each purpose may have that
// many live marks. Zero or less means DefaultMarks.
func NewMemory(marksPerPurpose int) *Memory {
	return newMemory(MemoryConfig{Marks: marksPerPurpose})
}

// NewPersistent makes a store with a path. It touches nothing before Open.
func NewPersistent(config MemoryConfig) *Memory {
	m := newMemory(config)
	m.disk = newDisk(config.Path)
	return m
}

func newMemory(config MemoryConfig) *Memory {
	if config.Marks <= 0 {
		config.Marks = DefaultMarks
	}
	if config.Records <= 0 {
		config.Records = DefaultRecords
	}
	return &Memory{
		perPurpose: config.Marks, perLog: config.Records, life: rand.Text(),
		purposes: make(map[Purpose]*ledger), shelves: make(map[Purpose]*shelf), journals: make(map[Purpose]*journal),
	}
}

// usable tells whether a call may begin.
func (m *Memory) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.disk.ready()
}

// Mark implements Marks. It never waits for anything but other calls with the
// same purpose, and fails with ErrFull while all marks of the purpose are live.
func (m *Memory) Mark(ctx context.Context, purpose Purpose, id string, until time.Time) (fresh bool, err error) {
	if err := m.usable(ctx); err != nil {
		return false, fmt.Errorf("marking: %w", err)
	}
	book, err := m.ledger(purpose)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(id))
	// Rounded up: a mark lives at least as long as it must.
	fresh, err = book.mark(hash(sum[:len(hash{})]), time.Now().UnixMilli(), until.Add(time.Millisecond-1).UnixMilli())
	if err != nil {
		return false, fmt.Errorf("marking %s: %w", purpose, err)
	}
	return fresh, nil
}

// Len is how many marks of that purpose are kept, expired ones that nobody has
// cleared away yet included.
func (m *Memory) Len(purpose Purpose) int {
	m.mu.RLock()
	book := m.purposes[purpose]
	m.mu.RUnlock()
	if book == nil {
		return 0
	}
	return book.len()
}

func (m *Memory) ledger(purpose Purpose) (*ledger, error) {
	m.mu.RLock()
	book := m.purposes[purpose]
	m.mu.RUnlock()
	if book != nil {
		return book, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if book := m.purposes[purpose]; book != nil {
		return book, nil
	}
	if len(m.purposes) >= maxPurposes {
		return nil, fmt.Errorf("marking: more than %d purposes: %w", maxPurposes, ErrFull)
	}
	book = newLedger(m.perPurpose, m.disk != nil)
	m.purposes[purpose] = book
	return book, nil
}
