package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// answer is what a Read of its own goroutine returned.
type answer struct {
	records []store.Record
	next    store.Position
	err     error
}

func readLater(ctx context.Context, log store.Log, after store.Position, wait time.Duration) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		records, next, err := log.Read(ctx, purpose, after, 10, wait)
		answers <- answer{records, next, err}
	}()
	return answers
}

func waitingWakes(t *testing.T, log store.Log) {
	var at store.Position
	for i := range 3 {
		answers := readLater(t.Context(), log, at, time.Minute)
		<-time.After(100 * time.Millisecond) // most likely it waits by now; the law holds if not
		appendRecord(t, log, other, fmt.Sprint("elsewhere", i), "", time.Minute)
		appendRecord(t, log, purpose, fmt.Sprint(i), "", time.Minute)
		got := <-answers
		if got.err != nil {
			t.Fatal(got.err)
		}
		expectIDs(t, got.records, fmt.Sprint(i))
		at = got.next
	}
}

func waitEnds(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "a", "", time.Minute)
	_, at := read(t, log, purpose, "", 10)
	got := <-readLater(t.Context(), log, at, 100*time.Millisecond)
	if got.err != nil || len(got.records) != 0 {
		t.Errorf("after the wait: %v, %v; want nothing", got.records, got.err)
	}
	appendRecord(t, log, purpose, "b", "", time.Minute)
	records, _ := read(t, log, purpose, got.next, 10)
	expectIDs(t, records, "b")
}

func waitEndsWithContext(t *testing.T, log store.Log) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := <-readLater(ctx, log, "", time.Hour)
	if !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v; want the context's error", got.records, got.err)
	}
}

func endedNotDelivered(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "long 1", "", time.Minute)
	for i := range 20 {
		appendRecord(t, log, purpose, fmt.Sprint("short", i), "", time.Second)
	}
	_, at := read(t, log, purpose, "", 3) // a place among those that will end
	appendRecord(t, log, purpose, "long 2", "", time.Minute)
	appendRecord(t, log, purpose, "short at the end", "", time.Second)
	<-time.After(1500 * time.Millisecond)
	records, end := read(t, log, purpose, "", 10)
	expectIDs(t, records, "long 1", "long 2")
	records, _ = read(t, log, purpose, at, 10)
	expectIDs(t, records, "long 2")
	appendRecord(t, log, purpose, "long 3", "", time.Minute)
	records, _ = read(t, log, purpose, end, 10)
	expectIDs(t, records, "long 3")
	records, _ = read(t, log, purpose, at, 10)
	expectIDs(t, records, "long 2", "long 3")
}

func endedIsFree(t *testing.T, log store.Log) {
	appendRecord(t, log, purpose, "a", "1", time.Second)
	_, at := read(t, log, purpose, "", 10)
	<-time.After(1500 * time.Millisecond)
	appendRecord(t, log, purpose, "a", "2", time.Minute)
	records, _ := read(t, log, purpose, at, 10)
	expectIDs(t, records, "a")
	records, _ = read(t, log, purpose, "", 10)
	expectIDs(t, records, "a")
}

func pastAppendsNothing(t *testing.T, log store.Log) {
	for _, until := range []time.Time{time.Now().Add(-time.Second), {}} {
		if err := log.Append(t.Context(), purpose, "a", nil, until); err != nil {
			t.Errorf("until %v: %v", until, err)
		}
	}
	records, at := read(t, log, purpose, "", 10)
	expectIDs(t, records)
	appendRecord(t, log, purpose, "a", "", time.Minute)
	records, _ = read(t, log, purpose, at, 10)
	expectIDs(t, records, "a")
}
