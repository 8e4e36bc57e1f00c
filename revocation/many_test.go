package revocation

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Subscribers look at all they keep, so they are told of many events once.
func TestManyEventsAreToldOnce(t *testing.T) {
	t.Parallel()
	state := NewState(store.NewMemory(0))
	var told []int
	cancel := state.Subscribe(func(batch *Batch) { told = append(told, len(batch.Events)) })
	defer cancel()
	until := time.Now().Add(time.Hour)
	faults := state.RevokeAll(t.Context(), []Event{
		{Kind: KindID, Issuer: "https://a.example", Value: "1", Until: until},
		{Kind: KindID, Issuer: "https://a.example", Until: until},
		{Kind: KindID, Issuer: "https://a.example", Value: "3", Until: until},
	})
	if faults[0] != nil || !errors.Is(faults[1], ErrInvalid) || faults[2] != nil {
		t.Errorf("what came of each: %v", faults)
	}
	if len(told) != 1 || told[0] != 2 {
		t.Errorf("told of batches of %v, want one of 2", told)
	}
	if n := state.List().Len(); n != 2 {
		t.Errorf("%d events in the list, want 2", n)
	}
}

// Thousands of orders do not wait for a store that does not answer, one by one.
func TestManyEventsGiveUp(t *testing.T) {
	t.Parallel()
	away := newEngine()
	away.set(func(e *engine) { e.broken = store.ErrUnavailable })
	state := NewState(away)
	events := make([]Event, 1000)
	for i := range events {
		events[i] = subject(fmt.Sprint(i))
	}
	for i, err := range state.RevokeAll(t.Context(), events) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	if puts := away.puts.Load(); puts > 10*appendsAtOnce {
		t.Errorf("the store was asked %d times", puts)
	}
	away.set(func(e *engine) { e.broken = nil })
	for i, err := range state.RevokeAll(t.Context(), events) {
		if err != nil {
			t.Fatalf("event %d, afterwards: %v", i, err)
		}
	}
}

// However many signals come, operators can revoke.
func TestRoomForOperators(t *testing.T) {
	t.Parallel()
	const most = 32
	stores := map[string]*State{
		"the list's": newState(newEngine(), newList(most, DefaultBytes)),
		"the log's":  NewState(bounded32(t)),
	}
	for name, state := range stores {
		fill := func(by string) (taken int) {
			for ; taken <= most; taken++ {
				event := subject(fmt.Sprint(by, taken))
				event.By = by
				if _, err := state.Revoke(t.Context(), event); err != nil {
					if !errors.Is(err, store.ErrFull) {
						t.Fatal(err)
					}
					break
				}
			}
			return taken
		}
		if taken := fill("token_events"); taken != most-store.Reserve(most) {
			t.Errorf("%s room: %d signals were taken", name, taken)
		}
		if taken := fill("token_service"); taken != 0 {
			t.Errorf("%s room: %d clients' revocations were taken beyond", name, taken)
		}
		if taken := fill(ByOperator); taken != store.Reserve(most) {
			t.Errorf("%s room: %d orders were taken, want %d", name, taken, store.Reserve(most))
		}
	}
}

func bounded32(t *testing.T) *store.Memory {
	t.Helper()
	memory := store.NewPersistent(store.MemoryConfig{Path: t.TempDir(), Records: 32})
	if err := memory.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	return memory
}
