package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

// reopen opens the store in a directory.
func reopen(t *testing.T, directory string) *store.Memory {
	t.Helper()
	m := store.NewPersistent(store.MemoryConfig{Path: directory})
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func closeStore(t *testing.T, m *store.Memory) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// persistently runs a law against a store with files.
func persistently(t *testing.T, law func(t *testing.T, m *store.Memory)) {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "store")
	synctest.Test(t, func(t *testing.T) {
		m := reopen(t, directory)
		defer closeStore(t, m)
		law(t, m)
	})
}

func TestPersistentKeepsTheContract(t *testing.T) {
	for _, law := range storetest.MarksLaws() {
		t.Run("marks/"+law.Name, func(t *testing.T) {
			persistently(t, func(t *testing.T, m *store.Memory) { law.Run(t, m) })
		})
	}
	for _, law := range storetest.ValuesLaws() {
		t.Run("values/"+law.Name, func(t *testing.T) {
			persistently(t, func(t *testing.T, m *store.Memory) { law.Run(t, m) })
		})
	}
	for _, law := range storetest.LogLaws() {
		t.Run("log/"+law.Name, func(t *testing.T) {
			persistently(t, func(t *testing.T, m *store.Memory) { law.Run(t, m) })
		})
	}
	t.Run("log/another life", func(t *testing.T) {
		before, after := reopen(t, t.TempDir()), reopen(t, t.TempDir())
		defer closeStore(t, before)
		defer closeStore(t, after)
		storetest.Reset(t, before, after)
	})
}

// fill puts something of each kind into a store, some of which ends after a second.
func fill(t *testing.T, m *store.Memory) {
	t.Helper()
	for i := range 20 {
		life := time.Hour
		if i%2 == 1 {
			life = time.Second
		}
		until := time.Now().Add(life)
		err := m.Append(t.Context(), purpose, fmt.Sprint("record", i), []byte(fmt.Sprint("data", i)), until)
		err = errors.Join(err, m.Put(t.Context(), purpose, fmt.Sprint("key", i), []byte(fmt.Sprint("value", i)), until))
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := m.Mark(t.Context(), purpose, fmt.Sprint("mark", i), until); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	err := m.Put(t.Context(), purpose, "key0", []byte("replaced"), time.Now().Add(time.Hour))
	// What replaced another one and has ended does not bring the other one back.
	err = errors.Join(err, m.Put(t.Context(), purpose, "key4", []byte("short"), time.Now().Add(time.Second)))
	if err := errors.Join(err, m.Delete(t.Context(), purpose, "key2")); err != nil {
		t.Fatal(err)
	}
}

// expectFilled tests that what fill put there is there, but for what has ended.
func expectFilled(t *testing.T, m *store.Memory) {
	t.Helper()
	records, _, err := m.Read(t.Context(), purpose, "", 100, 0)
	if err != nil || len(records) != 10 {
		t.Fatalf("%d records, %v; want 10", len(records), err)
	}
	for i, record := range records {
		if record.ID != fmt.Sprint("record", 2*i) || string(record.Data) != fmt.Sprint("data", 2*i) {
			t.Errorf("record %d is %s with %q", i, record.ID, record.Data)
		}
	}
	for i := range 20 {
		want := fmt.Sprint("value", i)
		switch {
		case i == 0:
			want = "replaced"
		case i%2 == 1, i == 2, i == 4:
			want = ""
		}
		value, found, err := m.Get(t.Context(), purpose, fmt.Sprint("key", i))
		if err != nil || found != (want != "") || string(value) != want {
			t.Errorf("key %d holds %q, %t, %v; want %q", i, value, found, err, want)
		}
		fresh, err := m.Mark(t.Context(), purpose, fmt.Sprint("mark", i), time.Now().Add(time.Second))
		if err != nil || fresh != (i%2 == 1) {
			t.Errorf("mark %d: %t, %v", i, fresh, err)
		}
	}
}

func TestPersistentComesBack(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "not", "there", "yet")
	synctest.Test(t, func(t *testing.T) {
		m := reopen(t, directory)
		fill(t, m)
		first, at, err := m.Read(t.Context(), purpose, "", 3, 0)
		if err != nil || len(first) != 3 {
			t.Fatal(first, err)
		}
		closeStore(t, m)
		<-time.After(2 * time.Second)
		for range 3 {
			m := reopen(t, directory)
			expectFilled(t, m)
			// A position holds across the restart: a reader goes on where it was.
			rest, _, err := m.Read(t.Context(), purpose, at, 100, 0)
			if err != nil || len(rest) != 8 || rest[0].ID != "record4" {
				t.Errorf("%d records behind the position, %v", len(rest), err)
			}
			closeStore(t, m)
			<-time.After(2 * time.Second)
		}
		expectPrivate(t, directory)
	})
}

// expectPrivate tests that nobody else may read the files.
func expectPrivate(t *testing.T, directory string) {
	t.Helper()
	for name, want := range map[string]os.FileMode{"": 0o700, "records": 0o600, "marks": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(directory, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

// The number of a record that has ended is never given again, or a reader would miss
// the record that has it.
func TestPersistentNumbersGoOn(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := store.NewPersistent(store.MemoryConfig{Path: directory})
		m.RewriteOften()
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.Append(t.Context(), purpose, "a", nil, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, at, err := m.Read(t.Context(), purpose, "", 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2*time.Second + store.Grace)
		if err := m.Append(t.Context(), purpose, "past", nil, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err) // it clears the other away
		}
		if got := m.Records(purpose); got != 0 {
			t.Errorf("%d records are kept, want none", got)
		}
		rewritten(t, m, directory)
		closeStore(t, m)
		m = reopen(t, directory)
		defer closeStore(t, m)
		if err := m.Append(t.Context(), purpose, "b", nil, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if records, _, err := m.Read(t.Context(), purpose, at, 10, 0); err != nil || len(records) != 1 {
			t.Errorf("%d records behind the position, %v; want 1", len(records), err)
		}
	})
}

func TestPersistentOutsideOpenAndClose(t *testing.T) {
	m := store.NewPersistent(store.MemoryConfig{Path: t.TempDir()})
	expectUnavailable(t, m)
	for range 2 {
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, _, err := m.Read(context.Background(), purpose, "", 10, time.Hour)
		waiting <- err
	}()
	closeStore(t, m)
	if err := <-waiting; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a reader that waits while the store is closed: %v; want ErrUnavailable", err)
	}
	closeStore(t, m)
	expectUnavailable(t, m)
	if err := m.Open(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open after Close: %v; want ErrUnavailable", err)
	}
}

func expectUnavailable(t *testing.T, m *store.Memory) {
	t.Helper()
	ctx, until := t.Context(), time.Now().Add(time.Minute)
	_, markErr := m.Mark(ctx, purpose, "a", until)
	_, _, getErr := m.Get(ctx, purpose, "a")
	_, _, readErr := m.Read(ctx, purpose, "", 10, time.Hour)
	for what, err := range map[string]error{
		"Mark": markErr, "Get": getErr, "Read": readErr, "Probe": m.Probe(ctx),
		"Put": m.Put(ctx, purpose, "a", nil, until), "Delete": m.Delete(ctx, purpose, "a"),
		"Append": m.Append(ctx, purpose, "a", nil, until),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v; want ErrUnavailable", what, err)
		}
	}
}

func TestPersistentIsOneProcess(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := reopen(t, directory)
		second := store.NewPersistent(store.MemoryConfig{Path: directory})
		err := second.Open(t.Context())
		want := "opening the store: another process has " + directory + " open: give each its own with store memory <path>"
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		go func() {
			<-time.After(time.Second)
			closeStore(t, first)
		}()
		if err := second.Open(t.Context()); err != nil {
			t.Errorf("while the other process ends: %v", err)
		}
		closeStore(t, second)
	})
}

func TestPersistentNeedsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(path, "below")} {
		m := store.NewPersistent(store.MemoryConfig{Path: path})
		err := m.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "store memory <path>") {
			t.Errorf("got %v, want the place and the mend", err)
		}
		closeStore(t, m)
	}
}
