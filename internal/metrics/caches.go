package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// A Cache is what one memory holds and has done since it was made.
type Cache struct {
	// Kind is from a fixed list; Exchange is the name of the exchange it belongs to, ""
	// if it belongs to none. Several with the same are added up.
	Kind, Exchange string
	// Entries, Bytes and MaxBytes are about what it holds; MaxBytes is 0 for one that is
	// not in this node's memory.
	Entries, Bytes, MaxBytes uint64
	// Hits, Misses and Evictions are counts.
	Hits, Misses, Evictions uint64
}

// WatchCaches publishes what the memories do, read when metrics are scraped.
func (m *Metrics) WatchCaches(read func() []Cache) error {
	if m == nil {
		return nil
	}
	collector := &cacheCollector{read: read}
	for i, one := range cacheMetrics {
		collector.described[i] = prometheus.NewDesc(
			prometheus.BuildFQName(namespace, subsystem, one.name), one.help, []string{"cache", "exchange"}, nil)
	}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// cacheMetrics are the metrics of each memory. What is about this node's memory is left
// out for one that lies elsewhere.
var cacheMetrics = [...]struct {
	name, help string
	kind       prometheus.ValueType
	here       bool
	value      func(Cache) uint64
}{
	{"cache_entries", "Entries in a memory of this node.", prometheus.GaugeValue, true, func(c Cache) uint64 { return c.Entries }},
	{"cache_bytes", "Bytes that they take.", prometheus.GaugeValue, true, func(c Cache) uint64 { return c.Bytes }},
	{"cache_max_bytes", "Bytes that they may take.", prometheus.GaugeValue, true, func(c Cache) uint64 { return c.MaxBytes }},
	{"cache_evictions_total", "Entries that had to go for want of room.", prometheus.CounterValue, true, func(c Cache) uint64 { return c.Evictions }},
	{"cache_hits_total", "What was looked for in a memory and found.", prometheus.CounterValue, false, func(c Cache) uint64 { return c.Hits }},
	{"cache_misses_total", "What was looked for in a memory and not found.", prometheus.CounterValue, false, func(c Cache) uint64 { return c.Misses }},
}

type cacheCollector struct {
	read      func() []Cache
	described [len(cacheMetrics)]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *cacheCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, one := range c.described {
		descriptions <- one
	}
}

// Collect implements prometheus.Collector.
func (c *cacheCollector) Collect(values chan<- prometheus.Metric) {
	for _, cache := range added(c.read()) {
		for i, one := range cacheMetrics {
			if one.here && cache.MaxBytes == 0 {
				continue
			}
			values <- prometheus.MustNewConstMetric(c.described[i], one.kind, float64(one.value(cache)), cache.Kind, cache.Exchange)
		}
	}
}

// added adds up the memories of one name: two of them would be one too many for a scrape.
func added(caches []Cache) []Cache {
	type name struct{ kind, exchange string }
	places := make(map[name]int, len(caches))
	sums := make([]Cache, 0, len(caches))
	for _, cache := range caches {
		place, known := places[name{cache.Kind, cache.Exchange}]
		if !known {
			places[name{cache.Kind, cache.Exchange}] = len(sums)
			sums = append(sums, cache)
			continue
		}
		sum := &sums[place]
		sum.Entries, sum.Bytes, sum.MaxBytes = sum.Entries+cache.Entries, sum.Bytes+cache.Bytes, sum.MaxBytes+cache.MaxBytes
		sum.Hits, sum.Misses, sum.Evictions = sum.Hits+cache.Hits, sum.Misses+cache.Misses, sum.Evictions+cache.Evictions
	}
	return sums
}
