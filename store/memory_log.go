package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Append implements Log. The identifier may have MaxRecord octets too.
func (m *Memory) Append(ctx context.Context, log Purpose, id string, data []byte, until time.Time) error {
	return m.appendTo(ctx, log, id, data, until, false)
}

// AppendLeaving implements Reserver.
func (m *Memory) AppendLeaving(ctx context.Context, log Purpose, id string, data []byte, until time.Time) error {
	return m.appendTo(ctx, log, id, data, until, true)
}

func (m *Memory) appendTo(ctx context.Context, log Purpose, id string, data []byte, until time.Time, leaving bool) error {
	if err := m.usable(ctx); err != nil {
		return fmt.Errorf("appending a record: %w", err)
	}
	if longest := max(len(id), len(data)); longest > MaxRecord {
		return fmt.Errorf("appending a record of %s: %d octets, at most %d are kept", log, longest, MaxRecord)
	}
	journal, err := m.journal(log)
	if err != nil {
		return err
	}
	add := func(now int64) (*entry, error) { return journal.add(id, string(data), now, until.UnixMilli(), leaving) }
	if err := m.append(ctx, log, journal, add); err != nil {
		return fmt.Errorf("appending a record of %s: %w", log, err)
	}
	return nil
}

func (m *Memory) append(ctx context.Context, log Purpose, into *journal, add func(now int64) (*entry, error)) error {
	if m.disk == nil {
		_, err := add(time.Now().UnixMilli())
		into.show()
		return err
	}
	return m.disk.do(ctx, &change{
		stage: func(to []byte) ([]byte, error) {
			before := into.last
			added, err := add(time.Now().UnixMilli())
			if err != nil || added == nil || added.number <= before {
				return to, err // refused, or there already, maybe since a moment ago
			}
			return appendRecord(to, log, added), nil
		},
		apply: into.show, undo: into.withdraw,
	})
}

// Read implements Log. It returns a thousand records at most, whatever the limit.
func (m *Memory) Read(
	ctx context.Context, log Purpose, after Position, limit int, wait time.Duration,
) (records []Record, next Position, err error) {
	if err := m.usable(ctx); err != nil {
		return nil, "", fmt.Errorf("reading records: %w", err)
	}
	if limit < 1 {
		return nil, "", fmt.Errorf("reading records of %s: a limit of %d", log, limit)
	}
	journal, err := m.journal(log)
	if err != nil {
		return nil, "", err
	}
	life := m.life + "." + string(log) + "."
	number, ok := parsePosition(life, after)
	if !ok {
		return nil, "", fmt.Errorf("reading records of %s: %w", log, ErrReset)
	}
	found, err := journal.read(ctx, m.disk.over(), number, limit, wait)
	if err != nil {
		return nil, "", fmt.Errorf("reading records of %s: %w", log, err)
	}
	for _, held := range found.records {
		records = append(records, Record{
			ID: held.id(), Data: []byte(held.data()), Until: time.UnixMilli(held.until), Position: position(life, held.number),
		})
	}
	return records, position(life, found.next), nil
}

// Records is how many records that log holds, ended ones that nobody has cleared
// away yet included.
func (m *Memory) Records(log Purpose) int {
	m.mu.RLock()
	journal := m.journals[log]
	m.mu.RUnlock()
	if journal == nil {
		return 0
	}
	return journal.len()
}

func (m *Memory) journal(log Purpose) (*journal, error) {
	m.mu.RLock()
	known := m.journals[log]
	m.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.journals[log]; known != nil {
		return known, nil
	}
	if len(m.journals) >= maxPurposes {
		return nil, fmt.Errorf("opening a log: more than %d purposes: %w", maxPurposes, ErrFull)
	}
	made := newJournal(m.perLog, m.perLog*recordBytes)
	m.journals[log] = made
	return made, nil
}

// position writes the place behind a record: the life of its log and its number.
func position(life string, number uint64) Position {
	return Position(life + strconv.FormatUint(number, 10))
}

// parsePosition reads what position wrote. It refuses those of another life.
func parsePosition(life string, written Position) (number uint64, ok bool) {
	if written == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(string(written), life)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}
