package admin

import (
	"context"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// countEnds counts what events would end on this node, or are about to.
func countEnds(ctx context.Context, app Operated, events []revocation.Event) (map[string]int, error) {
	// A list of their own, so that they match here as they will when they count.
	trial := revocation.NewState(unkept{})
	tried := make([]*revocation.Event, len(events))
	for i := range events {
		event, err := trial.Revoke(ctx, events[i])
		if err != nil {
			return nil, err
		}
		tried[i] = &event
	}
	batch := revocation.NewBatch(tried...)
	ends := app.CountDerived(batch.Matches)
	ends["open_streams"] = app.Revocations().CountWatched(batch.Matches)
	return ends, nil
}

// unkept is a log that keeps nothing.
type unkept struct{}

// Append implements store.Log.
func (unkept) Append(context.Context, store.Purpose, string, []byte, time.Time) error { return nil }

// Read implements store.Log.
func (unkept) Read(context.Context, store.Purpose, store.Position, int, time.Duration) ([]store.Record, store.Position, error) {
	return nil, "", store.ErrUnavailable
}
