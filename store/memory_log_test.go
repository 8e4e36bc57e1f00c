package store_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

func TestMemoryKeepsTheContractOfLogs(t *testing.T) {
	for _, law := range storetest.LogLaws() {
		t.Run(law.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { law.Run(t, store.NewMemory(0)) })
		})
	}
	t.Run("another life", func(t *testing.T) { storetest.Reset(t, store.NewMemory(0), store.NewMemory(0)) })
}

func TestMemoryBoundsRecords(t *testing.T) {
	const records = 1 << 14
	boundsRecords(t, store.NewBounded(records), records)
}

// boundsRecords fills a store whose logs hold that many records with such as are as
// large as can be. What has not ended is never dropped for what is new, and what has
// ended makes room.
func boundsRecords(t *testing.T, m *store.Memory, records int) {
	t.Helper()
	most := records * store.RecordBytes / store.MaxRecord
	synctest.Test(t, func(t *testing.T) {
		data, until := make([]byte, store.MaxRecord-8), time.Now().Add(time.Minute)
		for i := range most {
			if err := m.Append(t.Context(), purpose, fmt.Sprintf("%08d", i), data, until); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		if err := m.Append(t.Context(), purpose, "more", nil, until); !errors.Is(err, store.ErrFull) {
			t.Errorf("one more: %v; want ErrFull", err)
		}
		if err := m.Append(t.Context(), purpose, "00000000", data, until); err != nil {
			t.Errorf("one that is there: %v", err)
		}
		if err := m.Append(t.Context(), "another", "more", data, until); err != nil {
			t.Errorf("another log starves: %v", err)
		}
		<-time.After(time.Minute + store.Grace)
		for i := range most { // each call clears a few away
			if err := m.Append(t.Context(), purpose, "more", nil, time.Now().Add(time.Second)); err != nil {
				t.Fatal(i, err)
			}
		}
		if got := m.Records(purpose); got != 1 {
			t.Errorf("%d records are kept after that, want 1", got)
		}
	})
}
