package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// Put implements Values. It waits for other calls with the same purpose, and for the
// disk where the store has a path.
func (m *Memory) Put(ctx context.Context, purpose Purpose, name string, value []byte, until time.Time) error {
	if err := m.usable(ctx); err != nil {
		return fmt.Errorf("keeping a value: %w", err)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("keeping a value of %s: %d octets, at most %d are kept", purpose, len(value), MaxValue)
	}
	shelf, err := m.shelf(purpose)
	if err != nil {
		return err
	}
	if err := m.put(ctx, purpose, shelf, sha256.Sum256([]byte(name)), value, until.UnixMilli()); err != nil {
		return fmt.Errorf("keeping a value of %s: %w", purpose, err)
	}
	return nil
}

func (m *Memory) put(ctx context.Context, purpose Purpose, on *shelf, name key, value []byte, until int64) error {
	switch {
	case m.disk == nil:
		return on.put(name, value, time.Now().UnixMilli(), until)
	case time.Now().UnixMilli() >= until:
		return m.disk.do(ctx, dropValue(purpose, on, name))
	}
	value = slices.Clone(value) // the caller may be gone before it is written
	return m.disk.do(ctx, &change{
		stage: func(to []byte) ([]byte, error) {
			if err := on.reserve(name, len(value), time.Now().UnixMilli()); err != nil {
				return nil, err
			}
			return appendValue(to, purpose, name, until, value), nil
		},
		apply: func() {
			on.release(len(value))
			on.place(name, value, until)
		},
		undo: func() { on.release(len(value)) },
	})
}

func dropValue(purpose Purpose, from *shelf, name key) *change {
	return &change{
		stage: func(to []byte) ([]byte, error) { return appendDelete(to, purpose, name), nil },
		apply: func() { from.delete(name) },
	}
}

// Get implements Values.
func (m *Memory) Get(ctx context.Context, purpose Purpose, name string) (value []byte, found bool, err error) {
	if err := m.usable(ctx); err != nil {
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
	if err := m.usable(ctx); err != nil {
		return fmt.Errorf("dropping a value: %w", err)
	}
	m.mu.RLock()
	shelf := m.shelves[purpose]
	m.mu.RUnlock()
	switch {
	case shelf == nil:
		return nil
	case m.disk == nil:
		shelf.delete(sha256.Sum256([]byte(name)))
		return nil
	}
	if err := m.disk.do(ctx, dropValue(purpose, shelf, sha256.Sum256([]byte(name)))); err != nil {
		return fmt.Errorf("dropping a value of %s: %w", purpose, err)
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
