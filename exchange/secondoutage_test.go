package exchange

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// What cannot be read, or lies under another name, counts as not there.
func TestSecondLevelDamaged(t *testing.T) {
	for name, damage := range map[string]func(value, other []byte) []byte{
		"cut":           func(value, _ []byte) []byte { return value[:len(value)-1] },
		"longer":        func(value, _ []byte) []byte { return append(value, 0) },
		"empty":         func([]byte, []byte) []byte { return nil },
		"next release":  func(value, _ []byte) []byte { value[0]++; return value },
		"another one's": func(_, other []byte) []byte { return other },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, nil)
			other := f.a.caller("other", "orders:read")
			f.a.must(t, other)
			f.settle()
			others := f.shelf.held[string(sliceOf(f.a.place(other).name))]
			caller := f.a.caller("t", "orders:read")
			f.a.must(t, caller)
			f.settle()
			at := string(sliceOf(f.a.place(caller).name))
			if err := f.shelf.Put(t.Context(), at, damage(f.shelf.held[at], others), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			f.b.must(t, caller)
			f.settle()
			if f.a.sts.calls() != 3 || f.counts(SharedUnreadable) != 1 {
				t.Errorf("%d calls, %d unreadable", f.a.sts.calls(), f.counts(SharedUnreadable))
			}
		})
	}
}

func sliceOf(name secondName) []byte { return name[:] }

// A store that fails is asked once a second and fails no exchange.
func TestSecondLevelDown(t *testing.T) {
	f := newFleet(t, nil)
	f.shelf.set(func(s *shelf) { s.fails = errAway })
	for _, text := range []string{"t", "u", "v"} {
		f.a.must(t, f.a.caller(text, "orders:read"))
	}
	f.settle()
	if _, asked := f.shelf.count(); asked != 1 || f.counts(SharedError) != 1 || f.counts(SharedSkipped) != 5 {
		t.Errorf("asked %d times: %d errors, %d skipped", asked, f.counts(SharedError), f.counts(SharedSkipped))
	}
}

// After its rest one caller tries whether the store works again. One that hangs costs
// what patience there is, once.
func TestSecondLevelRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := newShelf()
		level := NewSecondLevel(away, []byte(fleetKey))
		get := func() (time.Duration, error) {
			began := time.Now()
			_, _, err := level.get(t.Context(), secondName{})
			return time.Since(began), err
		}
		away.set(func(s *shelf) { s.hangs = true })
		if took, err := get(); took != readPatience || err == nil {
			t.Errorf("a store that hangs: %v after %v", err, took)
		}
		if took, err := get(); took != 0 || !errors.Is(err, errRests) {
			t.Errorf("right after: %v after %v", err, took)
		}
		<-time.After(secondRests)
		var together sync.WaitGroup
		var skipped atomic.Int64
		for range 10 {
			together.Go(func() {
				if _, err := get(); errors.Is(err, errRests) {
					skipped.Add(1)
				}
			})
		}
		together.Wait()
		if skipped.Load() != 9 {
			t.Errorf("%d of 10 were spared", skipped.Load())
		}
		away.set(func(s *shelf) { s.hangs = false })
		<-time.After(secondRests)
		for range 2 {
			if _, err := get(); err != nil {
				t.Error("it answers again:", err)
			}
		}
	})
}

// Whoever leaves, and a store that is full, say nothing against reading it.
func TestSecondLevelDoesNotRestInVain(t *testing.T) {
	away := newShelf()
	level := NewSecondLevel(away, []byte(fleetKey))
	gone, leave := context.WithCancel(t.Context())
	leave()
	away.set(func(s *shelf) { s.hangs = true })
	if _, found, err := level.get(gone, secondName{}); found || err == nil {
		t.Error("something was found by nobody")
	}
	away.set(func(s *shelf) { s.hangs, s.fails = false, store.ErrFull })
	_ = level.put(t.Context(), secondName{}, nil, time.Now())
	away.set(func(s *shelf) { s.fails = nil })
	if _, _, err := level.get(t.Context(), secondName{}); err != nil {
		t.Error(err)
	}
}

// FuzzSecondValue reads whatever a store may give back: what is read at all is what was
// written.
func FuzzSecondValue(f *testing.F) {
	name := secondName{1, 2, 3}
	now := time.UnixMilli(1_700_000_000_000)
	for _, value := range []secondValue{
		{token: "t", sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Hour)},
		{token: "t", id: "i", scope: []string{"a", ""}, sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Minute)},
		{token: "t", scope: []string{}, sent: now, keep: now.Add(time.Minute), expiry: now.Add(time.Hour)},
	} {
		f.Add(value.encode(name))
	}
	f.Add([]byte{secondVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := decodeSecond(name, data)
		if err != nil {
			return
		}
		if again := value.encode(name); !bytes.Equal(again, data) {
			t.Errorf("%q was read, and would be written as %q", data, again)
		}
		life := value.life(value.sent.Add(time.Minute))
		if life.keepUntil.Sub(life.sent) > time.Minute || life.freshUntil.After(life.keepUntil) {
			t.Errorf("a life of %+v", life)
		}
	})
}
