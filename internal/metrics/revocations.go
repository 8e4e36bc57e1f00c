package metrics

import (
	"fmt"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Revocations tell of the list of what was revoked.
type Revocations interface {
	// Lag is how long ago the log was last read to its end; ok is false before that.
	Lag() (age time.Duration, ok bool)
	// Loaded is whether the whole list was read once.
	Loaded() bool
	// Undecodable is how many records could not be read.
	Undecodable() uint64
}

// WatchRevocations publishes what is known of the list, read when metrics are
// scraped. counts are how many revocations there are of each kind; the kinds are
// few.
func (m *Metrics) WatchRevocations(list Revocations, counts func() iter.Seq2[string, int]) error {
	if m == nil {
		return nil
	}
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
	}
	collector := &revocationCollector{
		list: list, counts: counts,
		lag: describe("revocation_lag_seconds",
			"Time since the log of revocations was last read to its end; absent until it was."),
		loaded:      describe("revocation_loaded", "1 if the whole list of revocations was read, else 0."),
		live:        describe("revocations", "Revocations on the list, by kind.", "kind"),
		undecodable: describe("revocations_undecodable_total", "Records of the log of revocations that could not be read."),
	}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

type revocationCollector struct {
	list                           Revocations
	counts                         func() iter.Seq2[string, int]
	lag, loaded, live, undecodable *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *revocationCollector) Describe(out chan<- *prometheus.Desc) {
	for _, each := range []*prometheus.Desc{c.lag, c.loaded, c.live, c.undecodable} {
		out <- each
	}
}

// Collect implements prometheus.Collector.
func (c *revocationCollector) Collect(out chan<- prometheus.Metric) {
	if age, ok := c.list.Lag(); ok {
		out <- prometheus.MustNewConstMetric(c.lag, prometheus.GaugeValue, age.Seconds())
	}
	loaded := 0.0
	if c.list.Loaded() {
		loaded = 1
	}
	out <- prometheus.MustNewConstMetric(c.loaded, prometheus.GaugeValue, loaded)
	out <- prometheus.MustNewConstMetric(c.undecodable, prometheus.CounterValue, float64(c.list.Undecodable()))
	for kind, count := range c.counts() {
		out <- prometheus.MustNewConstMetric(c.live, prometheus.GaugeValue, float64(count), kind)
	}
}

// RevocationArrived notes how long another node's revocation took to be in force on
// this one, by the clocks of both.
func (m *Metrics) RevocationArrived(took time.Duration) {
	if m == nil {
		return
	}
	m.propagation.Observe(max(took, 0).Seconds())
}
