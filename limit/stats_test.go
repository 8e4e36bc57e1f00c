package limit_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/store"
)

func TestStats(t *testing.T) {
	shared := &flaky{Local: limit.NewLocal(0)}
	rule := limit.Rule{Key: "k", Rate: store.Rate{Events: 2, Window: time.Hour}}
	local := limit.NewLocal(0)
	limited := limit.New(rule, local, limit.NewShared(shared, slog.New(slog.DiscardHandler), nil))
	for range 3 {
		limited.Take(t.Context(), "a")
	}
	if diff := cmp.Diff(limit.Stats{Allowed: 2, Refused: 1, Shared: true}, limited.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	shared.down.Store(true)
	limited.Take(t.Context(), "a")
	if diff := cmp.Diff(limit.Stats{Allowed: 3, Refused: 1, Shared: true, Alone: true, Keys: 1}, limited.Stats()); diff != "" {
		t.Errorf("while the store is away (-want +got):\n%s", diff)
	}
	again := limit.New(rule, local, nil) // of the next configuration
	again.Take(t.Context(), "b")
	if diff := cmp.Diff(limit.Stats{Allowed: 4, Refused: 1, Keys: 2}, again.Stats()); diff != "" {
		t.Errorf("after a reload (-want +got):\n%s", diff)
	}
}
