package revocation

import (
	"log/slog"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A clock that is ahead for a moment makes nothing forgotten: the one that nobody sets
// says how much time has passed.
func TestClockAheadForgetsNothing(t *testing.T) {
	state := NewState(store.NewMemory(0))
	mustRevoke(t, state, subject("alice")) // for an hour
	wall := time.Now().Round(0)
	for name, test := range map[string]struct {
		wall   time.Duration
		steady time.Duration
		left   int
	}{
		"ahead by a year":     {365 * 24 * time.Hour, time.Minute, 1},
		"set back":            {-time.Hour, 2 * time.Hour, 1},
		"it has ended lately": {time.Hour + store.Grace - time.Minute, time.Hour + store.Grace - time.Minute, 1},
		"it has ended":        {time.Hour + store.Grace + time.Minute, time.Hour + store.Grace + time.Minute, 0},
	} {
		list := NewList()
		for _, event := range state.list.Events() {
			_, _ = list.add(hold(&event), 0)
		}
		list.sweep(state.endedBy(wall.Add(test.wall), test.steady))
		if got := list.Len(); got != test.left {
			t.Errorf("%s: %d events are left, want %d", name, got, test.left)
		}
	}
}

// A list that is half full keeps nothing that has ended.
func TestNoGraceWithoutRoom(t *testing.T) {
	state := newState(store.NewMemory(0), newList(2, DefaultBytes))
	event := subject("alice")
	event.By = ByOperator
	mustRevoke(t, state, event)
	state.list.sweep(state.endedBy(time.Now().Add(61*time.Minute), 61*time.Minute))
	if got := state.list.Len(); got != 0 {
		t.Errorf("%d events are left", got)
	}
}

// What was forgotten by a clock that was ahead comes back out of the log.
func TestClockSetBackReadsAnew(t *testing.T) {
	state := NewState(store.NewMemory(0))
	mustRevoke(t, state, subject("alice"))
	log := slog.New(slog.DiscardHandler)
	if err := state.Load(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	state.list.sweep(time.Now().Add(24 * time.Hour))
	state.latest = time.Now().Add(24 * time.Hour)
	f := &follower{State: state, log: log}
	for range 3 {
		if err := f.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reason := reasonFor(state, closed, "alice"); reason != token.Revoked {
		t.Errorf("alice: %q, want revoked", reason)
	}
}

// How old the list is counts by the clock on the wall too: the other one stands still
// while a virtual machine is suspended.
func TestAgeByBothClocks(t *testing.T) {
	state := NewState(store.NewMemory(0))
	if err := state.Load(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if reason := reasonFor(state, closed, "alice"); reason != "" {
		t.Fatal(reason)
	}
	state.wall.Add(-int64(time.Hour)) // as if it had been suspended for an hour
	if reason := reasonFor(state, closed, "alice"); reason != token.RevocationsUnknown {
		t.Errorf("after a suspension: %q", reason)
	}
	state.reachedEnd(time.Now())
	if reason := reasonFor(state, closed, "alice"); reason != "" {
		t.Errorf("after the next contact: %q", reason)
	}
	state.wall.Add(int64(2 * time.Hour)) // as if the clock had been set back
	if age := state.age(); age < 0 || age > time.Minute {
		t.Errorf("set back: it is %s old", age)
	}
	state.contact.Add(-int64(time.Hour)) // and an hour went by all the same
	if age := state.age(); age < time.Hour {
		t.Errorf("it is %s old", age)
	}
}
