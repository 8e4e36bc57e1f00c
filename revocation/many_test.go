package revocation

import (
	"errors"
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
