package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A LogLaw is one part of the contract of store.Log. Run wants a store that no other
// law has used; for its time see MarksLaw.
type LogLaw struct {
	Name string
	Run  func(t *testing.T, log store.Log)
}

// LogLaws are the contract of store.Log, but for what Reset tests.
func LogLaws() []LogLaw {
	return []LogLaw{
		{"an empty log", emptyLog},
		{"records are in order", recordsInOrder},
		{"an identifier is added once", addedOnce},
		{"logs and identifiers are apart", logsApart},
		{"records are copies", recordCopies},
		{"a reader goes on where it was", goesOn},
		{"a waiting reader wakes", waitingWakes},
		{"a wait ends", waitEnds},
		{"a wait ends with the context", waitEndsWithContext},
		{"ended records are not delivered", endedNotDelivered},
		{"an ended identifier is free", endedIsFree},
		{"the past appends nothing", pastAppendsNothing},
		{"too long a record", tooLongRecord},
		{"a position that is none", noPosition},
		{"many writers and readers", manyWritersAndReaders},
		{"a log and an ended context", logEndedContext},
	}
}

// Reset tests that a position of one log is none in another life of it: after is a
// store that holds nothing, begun anew since or instead of before.
func Reset(t *testing.T, before, after store.Log) {
	t.Helper()
	appendRecord(t, before, purpose, "a", "1", time.Minute)
	appendRecord(t, after, purpose, "a", "1", time.Minute)
	_, next := read(t, before, purpose, "", 10)
	_, _, err := after.Read(t.Context(), purpose, next, 10, 0)
	if !errors.Is(err, store.ErrReset) {
		t.Errorf("a position of another life: %v; want ErrReset", err)
	}
	records, _ := read(t, after, purpose, "", 10)
	expectIDs(t, records, "a")
}

func appendRecord(t *testing.T, log store.Log, name store.Purpose, id, data string, life time.Duration) {
	t.Helper()
	if err := log.Append(t.Context(), name, id, []byte(data), time.Now().Add(life)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, log store.Log, name store.Purpose, after store.Position, limit int) ([]store.Record, store.Position) {
	t.Helper()
	records, next, err := log.Read(t.Context(), name, after, limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) > limit {
		t.Errorf("%d records, the limit is %d", len(records), limit)
	}
	return records, next
}

// readAll follows a log to its end, a few records at a time.
func readAll(t *testing.T, log store.Log, name store.Purpose) []store.Record {
	t.Helper()
	var all []store.Record
	var at store.Position
	for {
		records, next := read(t, log, name, at, 7)
		if len(records) == 0 {
			return all
		}
		all, at = append(all, records...), next
	}
}

func expectIDs(t *testing.T, records []store.Record, want ...string) {
	t.Helper()
	got := make([]string, len(records))
	for i := range records {
		got[i] = records[i].ID
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("records %.200q, want %.200q", got, want)
	}
}

func emptyLog(t *testing.T, log store.Log) {
	records, next := read(t, log, purpose, "", 10)
	expectIDs(t, records)
	appendRecord(t, log, purpose, "a", "1", time.Minute)
	records, _ = read(t, log, purpose, next, 10)
	expectIDs(t, records, "a")
}

func recordsInOrder(t *testing.T, log store.Log) {
	var want []string
	start := time.Now()
	for i := range 50 {
		id := fmt.Sprint((i * 37) % 50)
		want = append(want, id)
		appendRecord(t, log, purpose, id, "data "+id, time.Minute)
	}
	all := readAll(t, log, purpose)
	expectIDs(t, all, want...)
	for i, record := range all {
		if string(record.Data) != "data "+record.ID {
			t.Errorf("record %s holds %q", record.ID, record.Data)
		}
		if off := record.Until.Sub(start.Add(time.Minute)); off < -time.Millisecond || off > time.Minute {
			t.Errorf("record %s ends %v from when it should", record.ID, off)
		}
		rest, _ := read(t, log, purpose, record.Position, 50)
		expectIDs(t, rest, want[i+1:]...)
	}
}

func addedOnce(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "a", "1", time.Minute)
	appendRecord(t, log, purpose, "b", "2", time.Minute)
	_, next := read(t, log, purpose, "", 10)
	appendRecord(t, log, purpose, "a", "3", time.Hour)
	records, _ := read(t, log, purpose, next, 10)
	expectIDs(t, records)
	records, _ = read(t, log, purpose, "", 10)
	expectIDs(t, records, "a", "b")
	if len(records) > 0 && string(records[0].Data) != "1" {
		t.Errorf("the record was changed to %q", records[0].Data)
	}
}

// logsApart tries identifiers that a careless join, cut or fold would make one.
func logsApart(t *testing.T, log store.Log) {
	long := strings.Repeat("x", 1000)
	ids := []string{"", "a", "A", "a ", "a\x00", "a\x00b", "a:b", "a/b", "\xff", "\r\n", "\u00e9", "e\u0301", long, long + "y"}
	for _, name := range []store.Purpose{purpose, other} {
		for _, id := range ids {
			appendRecord(t, log, name, id, string(name), time.Minute)
		}
	}
	for _, name := range []store.Purpose{purpose, other} {
		all := readAll(t, log, name)
		expectIDs(t, all, ids...)
		for _, record := range all {
			if string(record.Data) != string(name) {
				t.Errorf("%.20q of %s holds %q", record.ID, name, record.Data)
			}
		}
	}
}

func recordCopies(t *testing.T, log store.Log) {
	mine := []byte("mine\x00\xff")
	if err := log.Append(t.Context(), purpose, "a", mine, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	copy(mine, "else")
	for range 2 {
		records, _ := read(t, log, purpose, "", 10)
		if len(records) != 1 || !bytes.Equal(records[0].Data, []byte("mine\x00\xff")) {
			t.Fatalf("read %q", records)
		}
		copy(records[0].Data, "else")
	}
}

func goesOn(t *testing.T, log store.Log) {
	var at store.Position
	for i := range 30 {
		first, second := fmt.Sprint(i), fmt.Sprint(i, "b")
		appendRecord(t, log, purpose, first, "", time.Minute)
		appendRecord(t, log, purpose, second, "", time.Minute)
		records, next := read(t, log, purpose, at, 1)
		expectIDs(t, records, first)
		records, at = read(t, log, purpose, next, 10)
		expectIDs(t, records, second)
	}
	records, still := read(t, log, purpose, at, 10)
	expectIDs(t, records)
	appendRecord(t, log, purpose, "last", "", time.Minute)
	records, _ = read(t, log, purpose, still, 10)
	expectIDs(t, records, "last")
}

func tooLongRecord(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "longest", strings.Repeat("x", store.MaxRecord), time.Minute)
	err := log.Append(t.Context(), purpose, "a", make([]byte, store.MaxRecord+1), time.Now().Add(time.Minute))
	if err == nil || errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v; want an error of the caller's", err)
	}
	expectIDs(t, readAll(t, log, purpose), "longest")
}

func noPosition(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "a", "", time.Minute)
	for _, at := range []store.Position{"nonsense", "\x00", "0", "-1", "999999999999999999999"} {
		if _, _, err := log.Read(t.Context(), purpose, at, 10, 0); !errors.Is(err, store.ErrReset) {
			t.Errorf("%q: %v; want ErrReset", at, err)
		}
	}
}

// manyWritersAndReaders expects each reader to see each record once, and all of them
// in one order.
func manyWritersAndReaders(t *testing.T, log store.Log) {
	const writers, each, readers = 8, 25, 3
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			for i := range each {
				// Each record is appended by two of them.
				id := fmt.Sprint(writer/2, i)
				if err := log.Append(t.Context(), purpose, id, []byte(id), time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := make([][]string, readers)
	for reader := range readers {
		wg.Go(func() { seen[reader] = follow(t, log, writers/2*each) })
	}
	wg.Wait()
	for reader := range readers {
		if len(seen[reader]) != writers/2*each {
			t.Errorf("reader %d saw %d records, want %d", reader, len(seen[reader]), writers/2*each)
		}
		if strings.Join(seen[reader], "|") != strings.Join(seen[0], "|") {
			t.Errorf("readers 0 and %d saw another order", reader)
		}
	}
}

// follow reads until it has seen so many records, or none came for a while.
func follow(t *testing.T, log store.Log, want int) (ids []string) {
	t.Helper()
	var at store.Position
	once := make(map[string]bool)
	for len(ids) < want {
		records, next, err := log.Read(t.Context(), purpose, at, 5, 10*time.Second)
		if err != nil || len(records) == 0 {
			t.Errorf("after %d records: %d more, %v", len(ids), len(records), err)
			return ids
		}
		for _, record := range records {
			if once[record.ID] {
				t.Errorf("%s came twice", record.ID)
			}
			once[record.ID] = true
			ids = append(ids, record.ID)
		}
		at = next
	}
	return ids
}

func logEndedContext(t *testing.T, log store.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Append(ctx, purpose, "a", nil, time.Now().Add(time.Minute)); !errors.Is(err, context.Canceled) {
		t.Errorf("Append: %v; want the context's error", err)
	}
	if _, _, err := log.Read(ctx, purpose, "", 10, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v; want the context's error", err)
	}
}
