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
	for i := range events {
		if _, err := trial.Revoke(ctx, events[i]); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	match := func(facts *revocation.Facts) bool { return trial.List().Find(facts, now) != nil }
	ends := app.CountDerived(match)
	ends["open_streams"] = app.Revocations().CountWatched(match)
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
