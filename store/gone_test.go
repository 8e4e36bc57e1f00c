package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// What would be lost with the process is not acknowledged: a file that was removed can
// be written to as before.
func TestPersistentWhoseFilesAreGone(t *testing.T) {
	for name, remove := range map[string]func(directory string) error{
		"removed": os.RemoveAll,
		"moved":   func(directory string) error { return os.Rename(directory, directory+".old") },
		"replaced": func(directory string) error {
			records := filepath.Join(directory, "records")
			return errors.Join(os.Rename(records, records+".old"), os.WriteFile(records, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory, until := filepath.Join(t.TempDir(), "store"), time.Now().Add(time.Hour)
			m := reopen(t, directory)
			defer func() { _ = m.Close() }()
			if err := m.Append(t.Context(), purpose, "before", nil, until); err != nil {
				t.Fatal(err)
			}
			if err := remove(directory); err != nil {
				t.Fatal(err)
			}
			if err := m.Append(t.Context(), purpose, "after", nil, until); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("appending: %v; want ErrUnavailable", err)
			}
			if err := m.Put(t.Context(), purpose, "key", nil, until); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("putting: %v; want ErrUnavailable", err)
			}
			if err := m.Probe(t.Context()); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("probing: %v; want ErrUnavailable", err)
			}
			if records, _, err := m.Read(t.Context(), purpose, "", 10, 0); err != nil || len(records) != 1 {
				t.Errorf("%d records are there, %v; want the one of before", len(records), err)
			}
		})
	}
}
