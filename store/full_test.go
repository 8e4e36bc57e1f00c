//go:build linux

package store_test

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// The system refuses a process to write behind some place of a file, as a disk does
// that is full. What is told then is true: nothing was kept, and nobody sees it.
func TestPersistentOnAFullDisk(t *testing.T) {
	directory := t.TempDir()
	if out, err := child(t, "full", directory).Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := reopen(t, directory)
	defer closeStore(t, m)
	if err := expectBeforeAndAfter(t.Context(), m); err != nil {
		t.Error(err)
	}
	if fresh, err := mark(t, m, purpose, "mark", time.Minute); fresh || err != nil {
		t.Errorf("a mark that waited for room is gone: %t, %v", fresh, err)
	}
}

func fillTheDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx, until := context.Background(), time.Now().Add(time.Hour)
	m := store.NewPersistent(store.MemoryConfig{Path: path})
	err := errors.Join(
		m.Open(ctx),
		m.Append(ctx, purpose, "before", []byte("before"), until), m.Put(ctx, purpose, "before", []byte("before"), until))
	if err != nil {
		return err
	}
	var room syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		return err
	}
	full := syscall.Rlimit{Cur: 4100, Max: room.Max} // a head, and no frame
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	if err := errors.Join(markRefused(ctx, m, until), refused(ctx, m, until)); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		return err
	}
	return errors.Join(
		probeUntil(ctx, m, true),
		m.Append(ctx, purpose, "after", []byte("after"), until), m.Put(ctx, purpose, "after", []byte("after"), until),
		expectBeforeAndAfter(ctx, m), m.Close())
}

// refused tries what a full disk refuses.
func refused(ctx context.Context, m *store.Memory, until time.Time) error {
	_, at, err := m.Read(ctx, purpose, "", 10, 0)
	if err != nil {
		return err
	}
	for i := range 10 {
		id := fmt.Sprint("refused", i)
		for what, err := range map[string]error{
			"Append": m.Append(ctx, purpose, id, make([]byte, store.MaxRecord), until),
			"Put":    m.Put(ctx, purpose, id, make([]byte, store.MaxValue), until),
			"Probe":  m.Probe(ctx),
		} {
			if !errors.Is(err, store.ErrUnavailable) && (what != "Probe" || err != nil) {
				return fmt.Errorf("%s on a full disk: %w; want ErrUnavailable", what, err)
			}
		}
		if _, found, err := m.Get(ctx, purpose, id); found || err != nil {
			return fmt.Errorf("a value that was refused is there: %w", err)
		}
	}
	if records, _, err := m.Read(ctx, purpose, at, 10, 0); err != nil || len(records) != 0 {
		return fmt.Errorf("%d records that were refused are there: %w", len(records), err)
	}
	return nil
}

// markRefused makes a mark, which needs no disk, and waits until it was refused there.
func markRefused(ctx context.Context, m *store.Memory, until time.Time) error {
	if fresh, err := m.Mark(ctx, purpose, "mark", until); !fresh || err != nil {
		return fmt.Errorf("a mark needs no disk: %t, %w", fresh, err)
	}
	return probeUntil(ctx, m, false)
}

// probeUntil waits until a store says that it is well, or that it is not.
func probeUntil(ctx context.Context, m *store.Memory, well bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := m.Probe(ctx)
		if (err == nil) == well {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still not: %w, then %w", err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func expectBeforeAndAfter(ctx context.Context, m *store.Memory) error {
	records, _, err := m.Read(ctx, purpose, "", 10, 0)
	if err != nil || len(records) != 2 || records[0].ID != "before" || records[1].ID != "after" {
		return fmt.Errorf("%d records, %w; want two", len(records), err)
	}
	for _, want := range []string{"before", "after"} {
		if value, _, err := m.Get(ctx, purpose, want); string(value) != want {
			return fmt.Errorf("value %s: %q, %w", want, value, err)
		}
	}
	if value, found, err := m.Get(ctx, purpose, "refused0"); found || err != nil {
		return fmt.Errorf("a value that was refused is there with %d octets: %w", len(value), err)
	}
	return nil
}
