package store

import (
	"fmt"
	"maps"
)

// restoring puts what a file held back into an empty store. What has ended since stays
// away.
type restoring struct {
	m   *Memory
	now int64 // milliseconds since 1970
}

var _ restorer = restoring{}

func (r restoring) restoreLife(life string) error {
	if life == "" {
		return fmt.Errorf("%w: a life without a name", errChange)
	}
	r.m.life = life
	return nil
}

func (r restoring) restoreNumber(log Purpose, number uint64) error {
	journal, err := r.m.journal(log)
	if err != nil {
		return err
	}
	if number < journal.last {
		return fmt.Errorf("%w: a number goes back", errChange)
	}
	journal.last, journal.shown = number, number
	return nil
}

func (r restoring) restoreRecord(log Purpose, number uint64, until int64, id, data string) error {
	journal, err := r.m.journal(log)
	if err != nil {
		return err
	}
	if number <= journal.last || max(len(id), len(data)) > MaxRecord {
		return fmt.Errorf("%w: a record is out of order or too long", errChange)
	}
	journal.last, journal.shown = number, number
	if r.now >= until+Grace.Milliseconds() {
		return nil
	}
	if earlier := journal.ids[id]; earlier != nil { // of a time when the clock went ahead
		journal.drop(earlier)
	}
	journal.insert(&entry{number: number, until: until, text: id + data, idLength: len(id)})
	return nil
}

func (r restoring) restoreValue(purpose Purpose, name key, until int64, value []byte) error {
	shelf, err := r.m.shelf(purpose)
	if err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fmt.Errorf("%w: a value is too long", errChange)
	}
	shelf.delete(name)
	if r.now < until {
		shelf.place(name, append([]byte(nil), value...), until)
	}
	return nil
}

func (r restoring) restoreDelete(purpose Purpose, name key) error {
	shelf, err := r.m.shelf(purpose)
	if err != nil {
		return err
	}
	shelf.delete(name)
	return nil
}

func (r restoring) restoreMarks(purpose Purpose, marks []stamped) error {
	book, err := r.m.ledger(purpose)
	if err != nil {
		return err
	}
	for _, mark := range marks {
		if r.now < mark.until {
			book.restore(mark)
		}
	}
	return nil
}

// forget drops what was read by an Open that failed.
func (m *Memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.purposes)
	clear(m.shelves)
	clear(m.journals)
}

func (m *Memory) allLedgers() map[Purpose]*ledger {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.purposes)
}

func (m *Memory) allShelves() map[Purpose]*shelf {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.shelves)
}

func (m *Memory) allJournals() map[Purpose]*journal {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.journals)
}
