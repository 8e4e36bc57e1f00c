package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// written makes the files of a small store, and returns what is in them.
func written(t *testing.T) (records, marks []byte) {
	t.Helper()
	directory := t.TempDir()
	m := reopen(t, directory)
	until := time.Now().Add(time.Hour)
	for i := range 3 {
		id := fmt.Sprint(i)
		err := m.Append(t.Context(), purpose, id, []byte(id), until)
		if err := errors.Join(err, m.Put(t.Context(), purpose, id, []byte(id), until)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Mark(t.Context(), purpose, id, until); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, m)
	records, err := os.ReadFile(filepath.Join(directory, "records"))
	if err != nil {
		t.Fatal(err)
	}
	if marks, err = os.ReadFile(filepath.Join(directory, "marks")); err != nil {
		t.Fatal(err)
	}
	return records, marks
}

// openWith opens a store of such files. Either it says what is wrong with which of
// them, or all that was acknowledged is there: never less, without a word.
func openWith(t *testing.T, directory string, records, marks []byte) error {
	t.Helper()
	err := os.WriteFile(filepath.Join(directory, "records"), records, 0o600)
	if err := errors.Join(err, os.WriteFile(filepath.Join(directory, "marks"), marks, 0o600)); err != nil {
		t.Fatal(err)
	}
	m := store.NewPersistent(store.MemoryConfig{Path: directory})
	defer closeStore(t, m)
	if err := m.Open(t.Context()); err != nil {
		if !strings.Contains(err.Error(), directory) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("the error names no place or no mend: %v", err)
		}
		return err
	}
	found, _, err := m.Read(t.Context(), purpose, "", 10, 0)
	if err != nil || len(found) != 3 {
		t.Errorf("%d records, %v; want 3 or an error", len(found), err)
	}
	for i := range 3 {
		id := fmt.Sprint(i)
		if value, _, err := m.Get(t.Context(), purpose, id); string(value) != id {
			t.Errorf("value %s: %q, %v", id, value, err)
		}
		if fresh, err := mark(t, m, purpose, id, time.Minute); fresh || err != nil {
			t.Errorf("mark %s: %t, %v", id, fresh, err)
		}
	}
	return nil
}

// damages calls with a file in which one octet is another, for each octet that has a
// meaning, and with a file that ends early, for each length.
func damages(content []byte, each func(what string, damaged []byte)) {
	at := func(i int) bool { return i < 16 || i >= 500 && i < 550 || i >= 1010 && i < 1060 || i >= 4090 }
	for i := range content {
		if !at(i) {
			continue
		}
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(content)
			damaged[i] ^= flip
			each(fmt.Sprintf("octet %d flipped by %x", i, flip), damaged)
		}
		each(fmt.Sprintf("%d octets", i), content[:i])
	}
}

// inMemory is a directory that is no slower than memory, where the system has one: what
// is read back a thousand times is the same on every disk.
func inMemory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("/dev/shm", "gatehouse-store-") //nolint:usetesting // on another disk than t.TempDir
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

func TestPersistentSeesDamage(t *testing.T) {
	t.Parallel()
	records, marks := written(t)
	directory := inMemory(t)
	if err := openWith(t, directory, records, marks); err != nil {
		t.Fatal(err)
	}
	seen, harmless := 0, 0
	count := func(what string, err error) {
		if err != nil {
			seen++
		} else {
			harmless++
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
	damages(records, func(what string, damaged []byte) { count("records: "+what, openWith(t, directory, damaged, marks)) })
	damages(marks, func(what string, damaged []byte) { count("marks: "+what, openWith(t, directory, records, damaged)) })
	t.Logf("%d damages are seen, %d take nothing away", seen, harmless)
	if seen < 1000 || harmless < 100 {
		t.Error("that is not what was meant to be tested")
	}
}

// A write that the end of a process or of the power cut short was acknowledged to
// nobody. It is no damage.
func TestPersistentForgivesTornWrites(t *testing.T) {
	records, marks := written(t)
	directory := t.TempDir()
	for _, torn := range [][]byte{
		{0}, make([]byte, 5000), {0, 0, 0, 5, 1, 2, 3, 4, 'x'}, bytes.Repeat([]byte{0xff}, 100), records[4096:4150],
	} {
		if err := openWith(t, directory, append(bytes.Clone(records), torn...), append(bytes.Clone(marks), torn...)); err != nil {
			t.Errorf("%d octets behind the end: %v", len(torn), err)
		}
	}
}

// A file that was not complete when its writing ended is none, and goes.
func TestPersistentForgivesHalfAFile(t *testing.T) {
	records, marks := written(t)
	directory := t.TempDir()
	half := filepath.Join(directory, "records.new")
	if err := os.WriteFile(half, records[:4100], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openWith(t, directory, records, marks); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file is still there: %v", err)
	}
}
