package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StatusLists tell of the status lists of one issuer that are in memory.
type StatusLists interface {
	// Sums are how many there are, how many bytes they take, and how many should have
	// come by now and have not.
	Sums() (lists, bytes, stale int)
	// Oldest is how old the oldest is.
	Oldest() time.Duration
}

// StatusListFetched counts one fetch of a status list.
func (m *Metrics) StatusListFetched(issuer, outcome string) {
	if m == nil {
		return
	}
	m.statusLists.WithLabelValues(issuer, outcome).Inc()
}

// WatchStatusLists publishes what is known of an issuer's status lists, read when
// metrics are scraped. They have no label of their own: tokens name them.
func (m *Metrics) WatchStatusLists(issuer string, lists StatusLists) error {
	if m == nil {
		return nil
	}
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help,
			nil, prometheus.Labels{labelIssuer: issuer})
	}
	collector := &statusListCollector{
		lists: lists,
		count: describe("status_lists", "Status lists of an issuer in memory; absent while there is none."),
		bytes: describe("status_list_bytes", "What an issuer's status lists take of memory; absent while there is none."),
		stale: describe("status_lists_stale", "Status lists of an issuer that should have come by now, for the first time or anew; absent while there is none."),
		age:   describe("status_list_age_seconds", "Age of an issuer's oldest status list; absent while there is none."),
	}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

type statusListCollector struct {
	lists                    StatusLists
	count, bytes, stale, age *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *statusListCollector) Describe(out chan<- *prometheus.Desc) {
	for _, each := range []*prometheus.Desc{c.count, c.bytes, c.stale, c.age} {
		out <- each
	}
}

// Collect implements prometheus.Collector.
func (c *statusListCollector) Collect(out chan<- prometheus.Metric) {
	lists, bytes, stale := c.lists.Sums()
	if lists == 0 && stale == 0 {
		return
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	gauge(c.count, float64(lists))
	gauge(c.bytes, float64(bytes))
	gauge(c.stale, float64(stale))
	gauge(c.age, c.lists.Oldest().Seconds())
}
