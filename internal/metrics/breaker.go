package metrics

import (
	"fmt"
	"iter"

	"github.com/prometheus/client_golang/prometheus"
)

// A Breaker is what is published of one endpoint of an authorization server.
type Breaker struct {
	Endpoint string
	// Open tells whether it is left alone.
	Open bool
	// Openings is how often it was, by reason.
	Openings map[string]uint64
}

// WatchBreakers publishes whether the endpoints of an authorization server are
// left alone at present, and how often and why they were, read when metrics are
// scraped. The endpoints are those of the configuration and of the server's own
// metadata, so they are few.
func (m *Metrics) WatchBreakers(server string, endpoints func() iter.Seq[Breaker]) error {
	if m == nil {
		return nil
	}
	labels := prometheus.Labels{"server": server}
	collector := &breakerCollector{
		endpoints: endpoints,
		open: prometheus.NewDesc(
			prometheus.BuildFQName(namespace, subsystem, "breaker_open"),
			"1 while an endpoint of an authorization server is left alone because it failed, else 0; absent until it was called.",
			[]string{"endpoint"}, labels),
		openings: prometheus.NewDesc(
			prometheus.BuildFQName(namespace, subsystem, "breaker_openings_total"),
			"Times that an endpoint of an authorization server was left alone, by the reason; absent until it was.",
			[]string{"endpoint", "reason"}, labels),
	}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

type breakerCollector struct {
	endpoints      func() iter.Seq[Breaker]
	open, openings *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *breakerCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.open
	out <- c.openings
}

// Collect implements prometheus.Collector.
func (c *breakerCollector) Collect(out chan<- prometheus.Metric) {
	for known := range c.endpoints() {
		value := 0.0
		if known.Open {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, value, known.Endpoint)
		for reason, times := range known.Openings {
			out <- prometheus.MustNewConstMetric(c.openings, prometheus.CounterValue, float64(times), known.Endpoint, reason)
		}
	}
}
