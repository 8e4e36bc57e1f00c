package store_test

import (
	"testing"
	"time"
)

// A clock that is ahead as the store opens makes no record forgotten that has ended by
// it lately: it is there again once the clock is right. It is the end that is too early here.
func TestPersistentKeepsForAGrace(t *testing.T) {
	directory := t.TempDir()
	m := reopen(t, directory)
	if err := m.Append(t.Context(), purpose, "a", nil, time.Now().Add(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, m)
	<-time.After(60 * time.Millisecond)
	m = reopen(t, directory)
	defer closeStore(t, m)
	if got := m.Records(purpose); got != 1 {
		t.Errorf("%d records are kept, want the one that has just ended", got)
	}
}
