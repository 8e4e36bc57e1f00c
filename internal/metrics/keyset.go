package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A KeySet tells of an issuer's keys; ok is false while there are none.
type KeySet interface {
	// Age is how old the newest key set is.
	Age() (age time.Duration, ok bool)
	// Stale is whether it is twice as old as it should ever be.
	Stale() (stale, ok bool)
}

// WatchKeySet publishes what an issuer's key set tells, read when metrics are
// scraped.
func (m *Metrics) WatchKeySet(issuer string, keySet KeySet) error {
	if m == nil {
		return nil
	}
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help,
			nil, prometheus.Labels{labelIssuer: issuer})
	}
	collector := &keySetCollector{
		keySet: keySet,
		age: describe("keyset_age_seconds",
			"Age of an issuer's newest key set; absent until the first one arrived."),
		stale: describe("keyset_stale",
			"1 if an issuer's newest key set is older than twice its refresh, else 0; absent until the first one arrived."),
	}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// A keySetCollector leaves the metrics out while there is nothing to tell: an age
// of zero would look like a key set that has just arrived.
type keySetCollector struct {
	keySet     KeySet
	age, stale *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *keySetCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.age
	out <- c.stale
}

// Collect implements prometheus.Collector.
func (c *keySetCollector) Collect(out chan<- prometheus.Metric) {
	if age, ok := c.keySet.Age(); ok {
		out <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age.Seconds())
	}
	if stale, ok := c.keySet.Stale(); ok {
		value := 0.0
		if stale {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(c.stale, prometheus.GaugeValue, value)
	}
}
