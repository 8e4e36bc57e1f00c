package metrics_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
)

// Memories of one name are one, and of one that lies elsewhere only what this node knows.
func TestCaches(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	caches := []metrics.Cache{
		{Kind: "tokens", Entries: 1, Bytes: 20, MaxBytes: 300, Hits: 4, Misses: 5, Evictions: 6},
		{Kind: "issued", Exchange: "inline", Entries: 1, Bytes: 2, MaxBytes: 3, Hits: 4, Misses: 5, Evictions: 6},
		{Kind: "issued", Exchange: "inline", Entries: 10, Bytes: 20, MaxBytes: 30, Hits: 40, Misses: 50, Evictions: 60},
		{Kind: "shared", Exchange: "orders", Hits: 7, Misses: 8},
	}
	if err := m.WatchCaches(func() []metrics.Cache { return caches }); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"cache_entries cache=tokens exchange=": 1, "cache_entries cache=issued exchange=inline": 11,
		"cache_bytes cache=tokens exchange=": 20, "cache_bytes cache=issued exchange=inline": 22,
		"cache_max_bytes cache=tokens exchange=": 300, "cache_max_bytes cache=issued exchange=inline": 33,
		"cache_evictions_total cache=tokens exchange=": 6, "cache_evictions_total cache=issued exchange=inline": 66,
		"cache_hits_total cache=tokens exchange=": 4, "cache_hits_total cache=issued exchange=inline": 44,
		"cache_misses_total cache=tokens exchange=": 5, "cache_misses_total cache=issued exchange=inline": 55,
		"cache_hits_total cache=shared exchange=orders": 7, "cache_misses_total cache=shared exchange=orders": 8,
	}
	got := gather(t, registry)
	maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.HasPrefix(name, "cache_") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
