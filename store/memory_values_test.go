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

func TestMemoryKeepsTheContractOfValues(t *testing.T) {
	for _, law := range storetest.ValuesLaws() {
		t.Run(law.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { law.Run(t, store.NewMemory(0)) })
		})
	}
}

func TestMemoryBoundsValues(t *testing.T) {
	boundsValues(t, store.MaxValue, store.DefaultValueBytes/store.MaxValue)
}

// boundsValues fills a store with the most values of that size. What is still good is
// never dropped for what is new, and what has ended makes room.
func boundsValues(t *testing.T, size, most int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, value, until := store.NewMemory(0), make([]byte, size), time.Now().Add(time.Minute)
		for i := range most {
			if err := m.Put(t.Context(), purpose, fmt.Sprint(i), value, until); err != nil {
				t.Fatalf("value %d: %v", i, err)
			}
		}
		if err := m.Put(t.Context(), purpose, "one more", value, until); !errors.Is(err, store.ErrFull) {
			t.Errorf("one more: %v; want ErrFull", err)
		}
		if err := m.Put(t.Context(), purpose, "0", value, until.Add(time.Second)); err != nil {
			t.Errorf("one in place of another: %v", err)
		}
		if err := m.Put(t.Context(), "another", "one more", value, until); err != nil {
			t.Errorf("another purpose starves: %v", err)
		}
		if got := m.Values(purpose); got != most {
			t.Errorf("%d values are kept, want %d", got, most)
		}
		<-time.After(time.Minute)
		if err := m.Put(t.Context(), purpose, "one more", value, time.Now().Add(time.Second)); err != nil {
			t.Errorf("after a minute: %v", err)
		}
		for range most { // each call clears a few away
			if err := m.Put(t.Context(), purpose, "one more", value, time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if got := m.Values(purpose); got != 2 {
			t.Errorf("%d values are kept after a minute, want 2", got)
		}
	})
}
