package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchStore publishes how much a store has held that did not open, read when metrics
// are scraped.
func (m *Metrics) WatchStore(unreadable func() (values, records uint64)) error {
	if m == nil {
		return nil
	}
	counter := func(kind string, count func() uint64) prometheus.Collector {
		settings := options("store_unreadable_total", "What was read of the store and did not open, by kind.")
		settings.ConstLabels = prometheus.Labels{"kind": kind}
		return prometheus.NewCounterFunc(settings, func() float64 { return float64(count()) })
	}
	for _, collector := range []prometheus.Collector{
		counter("value", func() uint64 { values, _ := unreadable(); return values }),
		counter("record", func() uint64 { _, records := unreadable(); return records }),
	} {
		if err := m.registry.Register(collector); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
