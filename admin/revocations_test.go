package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// halfLog is a store that is away for every record of which the name ends in an even
// digit.
type halfLog struct{ unkept }

func (halfLog) Append(_ context.Context, _ store.Purpose, id string, _ []byte, _ time.Time) error {
	if strings.ContainsAny(id[len(id)-1:], "02468") {
		return store.ErrUnavailable
	}
	return nil
}

// TestStoreThatFails holds that what the store did not take is not acknowledged, and
// which orders that are.
func TestStoreThatFails(t *testing.T) {
	events := make([]revocation.Event, 100)
	for i := range events {
		events[i] = revocation.Event{
			ID: fmt.Sprintf("e%d", i), Kind: revocation.KindID, Issuer: mainURL, Value: fmt.Sprint(i), Until: time.Now().Add(time.Hour),
		}
	}
	list := revocation.NewState(halfLog{})
	faults := list.RevokeAll(t.Context(), events)
	var done outcome
	for i := range events {
		done.add(i, &events[i], faults[i])
	}
	if done.status() != http.StatusServiceUnavailable || done.Revoked != 50 || len(done.Revocations) != 50 || len(done.Failed) != 50 {
		t.Errorf("status %d, %d revoked, %d failed", done.status(), done.Revoked, len(done.Failed))
	}
	for i, failed := range done.Failed {
		if failed.Order != 2*i+1 || !strings.Contains(failed.Error, store.ErrUnavailable.Error()) {
			t.Errorf("%+v", failed)
		}
	}
}
