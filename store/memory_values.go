package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Put implements Values. It never waits for anything but other calls with the same
// purpose.
func (m *Memory) Put(ctx context.Context, purpose Purpose, name string, value []byte, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("keeping a value: %w", err)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("keeping a value of %s: %d octets, at most %d are kept", purpose, len(value), MaxValue)
	}
	shelf, err := m.shelf(purpose)
	if err != nil {
		return err
	}
	err = shelf.put(sha256.Sum256([]byte(name)), value, time.Now().UnixMilli(), until.UnixMilli())
	if err != nil {
		return fmt.Errorf("keeping a value of %s: %w", purpose, err)
	}
	return nil
}

// Get implements Values.
func (m *Memory) Get(ctx context.Context, purpose Purpose, name string) (value []byte, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("looking for a value: %w", err)
	}
	m.mu.RLock()
	shelf := m.shelves[purpose]
	m.mu.RUnlock()
	if shelf == nil {
		return nil, false, nil
	}
	value, found = shelf.get(sha256.Sum256([]byte(name)), time.Now().UnixMilli())
	return value, found, nil
}

// Delete implements Values.
func (m *Memory) Delete(ctx context.Context, purpose Purpose, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("dropping a value: %w", err)
	}
	m.mu.RLock()
	shelf := m.shelves[purpose]
	m.mu.RUnlock()
	if shelf != nil {
		shelf.delete(sha256.Sum256([]byte(name)))
	}
	return nil
}

// Values is how many values of that purpose are kept, ended ones that nobody has
// cleared away yet included.
func (m *Memory) Values(purpose Purpose) int {
	m.mu.RLock()
	shelf := m.shelves[purpose]
	m.mu.RUnlock()
	if shelf == nil {
		return 0
	}
	return shelf.len()
}

func (m *Memory) shelf(purpose Purpose) (*shelf, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.shelves[purpose]; known != nil {
		return known, nil
	}
	if len(m.shelves) >= maxPurposes {
		return nil, fmt.Errorf("keeping a value: more than %d purposes: %w", maxPurposes, ErrFull)
	}
	made := newShelf(DefaultValues, DefaultValueBytes)
	m.shelves[purpose] = made
	return made, nil
}
