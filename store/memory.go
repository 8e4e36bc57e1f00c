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
	DefaultRecordBytes = 512 << 20
)

// Memory is the store of one process. It is bounded in entries and so in bytes:
// a mark costs MarkBytes, and each purpose has a budget of its own. Nothing of it
// runs in the background; what has expired is cleared away by later calls. It
// reads time.Now and is safe for concurrent use. Whoever shares it between
// configurations keeps it alive as long as any of them.
type Memory struct {
	perPurpose int
	life       string // parts the logs of this store from those of any other

	mu       sync.RWMutex
	purposes map[Purpose]*ledger
	shelves  map[Purpose]*shelf
	journals map[Purpose]*journal
}

// Interface guard.
var _ Store = (*Memory)(nil)

// NewMemory makes an empty store in which each purpose may have that many live
// marks. Zero or less means DefaultMarks.
func NewMemory(marksPerPurpose int) *Memory {
	if marksPerPurpose <= 0 {
		marksPerPurpose = DefaultMarks
	}
	return &Memory{
		perPurpose: marksPerPurpose, life: rand.Text(),
		purposes: make(map[Purpose]*ledger), shelves: make(map[Purpose]*shelf), journals: make(map[Purpose]*journal),
	}
}

// Open implements Store. There is nothing to open.
func (m *Memory) Open(context.Context) error { return nil }

// Probe implements Store. Memory always answers.
func (m *Memory) Probe(context.Context) error { return nil }

// Close implements Store. There is nothing to let go of.
func (m *Memory) Close() error { return nil }

// Mark implements Marks. It never waits for anything but other calls with the
// same purpose, and fails with ErrFull while all marks of the purpose are live.
func (m *Memory) Mark(ctx context.Context, purpose Purpose, id string, until time.Time) (fresh bool, err error) {
	if err := ctx.Err(); err != nil {
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
	book = newLedger(m.perPurpose)
	m.purposes[purpose] = book
	return book, nil
}
