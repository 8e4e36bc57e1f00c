package admin

import (
	"context"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// A Counter tells how much of what the node holds was derived from tokens that
// match, by what it is: remembered tokens, answers, open streams.
type Counter interface {
	CountDerived(match func(*revocation.Facts) bool) map[string]int
}

// countEnds counts what events would end, or are about to.
func countEnds(ctx context.Context, app Operated, events []revocation.Event) (map[string]int, error) {
	counter, ok := app.(Counter)
	if !ok {
		return nil, nil //nolint:nilnil // nothing is counted
	}
	// A list of their own, so that they match here as they will when they count.
	trial := revocation.NewState(unkept{})
	for i := range events {
		if _, err := trial.Revoke(ctx, events[i]); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	return counter.CountDerived(func(facts *revocation.Facts) bool { return trial.List().Find(facts, now) != nil }), nil
}

// unkept is a log that keeps nothing.
type unkept struct{}

// Append implements store.Log.
func (unkept) Append(context.Context, store.Purpose, string, []byte, time.Time) error { return nil }

// Read implements store.Log.
func (unkept) Read(context.Context, store.Purpose, store.Position, int, time.Duration) ([]store.Record, store.Position, error) {
	return nil, "", store.ErrUnavailable
}
