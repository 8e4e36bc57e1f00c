package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// rewritten keeps values until the file of records was written anew.
func rewritten(t *testing.T, m *store.Memory, directory string) {
	t.Helper()
	var before int64
	for range 10_000 {
		if err := m.Put(t.Context(), purpose, "a", make([]byte, store.MaxValue), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(directory, "records"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < before {
			return
		}
		before = info.Size()
	}
	t.Fatal("the file is never written anew")
}

// A file does not grow for ever under values that replace each other.
func TestPersistentWritesAnew(t *testing.T) {
	directory := t.TempDir()
	m := reopen(t, directory)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			value := make([]byte, store.MaxValue)
			for range 24 {
				if err := m.Put(t.Context(), purpose, fmt.Sprint(i), value, time.Now().Add(time.Hour)); err != nil {
					t.Error(err)
				}
			}
			err := m.Append(t.Context(), purpose, fmt.Sprint(i), nil, time.Now().Add(time.Hour))
			err = errors.Join(err, m.Put(t.Context(), purpose, fmt.Sprint(i), []byte(fmt.Sprint(i)), time.Now().Add(time.Hour)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	closeStore(t, m)
	info, err := os.Stat(filepath.Join(directory, "records"))
	if err != nil || info.Size() > 30<<20 {
		t.Errorf("48 MiB of values that are mostly past take %d octets, %v", info.Size(), err)
	}
	m = reopen(t, directory)
	defer closeStore(t, m)
	for i := range 64 {
		if value, found, err := m.Get(t.Context(), purpose, fmt.Sprint(i)); !found || err != nil || string(value) != fmt.Sprint(i) {
			t.Errorf("value %d: %q, %t, %v", i, value, found, err)
		}
	}
	if records, _, err := m.Read(t.Context(), purpose, "", 100, 0); err != nil || len(records) != 64 {
		t.Errorf("%d records, %v; want 64", len(records), err)
	}
}

func TestPersistentWritesMarksAnew(t *testing.T) {
	writesMarksAnew(t, (*store.Memory).RewriteMarksOften, 1000, 256<<10)
}

// writesMarksAnew makes twenty times that many marks, which live for a moment: the file
// grows under them to that many octets at most.
func writesMarksAnew(t *testing.T, prepare func(*store.Memory), each int, most int64) {
	t.Helper()
	const rounds = 20
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := store.NewPersistent(store.MemoryConfig{Path: directory})
		prepare(m)
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		for round := range rounds {
			for i := range each {
				if fresh, err := mark(t, m, purpose, fmt.Sprint(round, " ", i), 5*time.Second); !fresh || err != nil {
					t.Fatal(fresh, err)
				}
			}
			<-time.After(3 * time.Second)
		}
		closeStore(t, m)
		info, err := os.Stat(filepath.Join(directory, "marks"))
		if err != nil || info.Size() > most {
			t.Errorf("%d marks that are mostly past take %d octets, %v", rounds*each, info.Size(), err)
		}
		m = reopen(t, directory)
		defer closeStore(t, m)
		for i := range each {
			if fresh, err := mark(t, m, purpose, fmt.Sprint(rounds-1, " ", i), time.Second); fresh || err != nil {
				t.Fatalf("mark %d: %t, %v", i, fresh, err)
			}
		}
	})
}
