package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

const purpose = store.Purpose("test")

func TestMemoryKeepsTheContract(t *testing.T) {
	for _, law := range storetest.MarksLaws() {
		t.Run(law.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { law.Run(t, store.NewMemory(0)) })
		})
	}
}

func mark(t *testing.T, m *store.Memory, p store.Purpose, id string, life time.Duration) (bool, error) {
	t.Helper()
	return m.Mark(t.Context(), p, id, time.Now().Add(life))
}

func TestMemoryForgetsNothingToMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		m := store.NewMemory(limit)
		for i := range limit {
			if fresh, err := mark(t, m, purpose, fmt.Sprint(i), time.Minute); !fresh || err != nil {
				t.Fatal(fresh, err)
			}
		}
		if fresh, err := mark(t, m, purpose, "one more", time.Minute); fresh || !errors.Is(err, store.ErrFull) {
			t.Errorf("one more: %t, %v; want ErrFull", fresh, err)
		}
		for i := range limit {
			if fresh, err := mark(t, m, purpose, fmt.Sprint(i), time.Minute); fresh || err != nil {
				t.Fatalf("mark %d was forgotten: %t, %v", i, fresh, err)
			}
		}
		if fresh, err := mark(t, m, "another", "one more", time.Minute); !fresh || err != nil {
			t.Errorf("another purpose starves: %t, %v", fresh, err)
		}
		<-time.After(time.Minute + time.Second)
		if fresh, err := mark(t, m, purpose, "one more", time.Minute); !fresh || err != nil {
			t.Errorf("after a minute: %t, %v", fresh, err)
		}
	})
}

func TestMemoryClearsAwayWhatExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(0)
		for i := range 10_000 {
			life := time.Second + time.Duration(i%5000)*time.Millisecond
			if _, err := mark(t, m, purpose, fmt.Sprint(i), life); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Minute)
		for i := range 2000 {
			if _, err := mark(t, m, purpose, fmt.Sprint("later", i), time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if got := m.Len(purpose); got != 2000 {
			t.Errorf("%d marks are kept, want the 2000 live ones", got)
		}
	})
}

// A mark must survive the clearing away around it: of others in its own second, and
// of an earlier mark with its identifier.
func TestMemoryClearsAwayNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(0)
		again := func(id string, life time.Duration, want bool) {
			t.Helper()
			if fresh, err := mark(t, m, purpose, id, life); err != nil || fresh != want {
				t.Errorf("%s: %t, %v; want %t", id, fresh, err, want)
			}
		}
		again("a", 1900*time.Millisecond, true)
		again("b", 1200*time.Millisecond, true)
		<-time.After(time.Second)
		again("c", time.Second, true)
		again("a", time.Second, false)
		<-time.After(500 * time.Millisecond)
		again("b", time.Minute, true) // expired, and not cleared away yet
		<-time.After(5 * time.Second)
		again("d", time.Second, true)
		again("b", time.Minute, false)
	})
}

func TestMemoryBoundsPurposes(t *testing.T) {
	m := store.NewMemory(1)
	var err error
	for i := range 1000 {
		if _, err = mark(t, m, store.Purpose(fmt.Sprint(i)), "a", time.Minute); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestMarkBytesIsTrue(t *testing.T) {
	const marks = 60_000
	m := store.NewMemory(marks)
	before := heapBytes()
	until := time.Now().Add(time.Hour)
	for i := range marks {
		if _, err := m.Mark(t.Context(), purpose, fmt.Sprint(i), until.Add(time.Duration(i%60)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if each := float64(heapBytes()-before) / marks; each > store.MarkBytes || each < 20 {
		t.Errorf("a mark takes %.0f bytes, MarkBytes says %d", each, store.MarkBytes)
	} else {
		t.Logf("a mark takes %.0f bytes", each)
	}
	runtime.KeepAlive(m)
}

func heapBytes() int64 {
	var stats runtime.MemStats
	debug.FreeOSMemory() // collects garbage first
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func BenchmarkMemoryMark(b *testing.B) {
	m := store.NewMemory(1 << 30)
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := m.Mark(b.Context(), purpose, ids[i%len(ids)], time.Now().Add(time.Second)); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
