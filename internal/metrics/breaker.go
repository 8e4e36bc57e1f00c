package metrics

import (
	"fmt"
	"iter"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchBreakers publishes whether the endpoints of an authorization server are
// left alone at present, read when metrics are scraped. The endpoints are those of
// the configuration and of the server's own metadata, so they are few.
func (m *Metrics) WatchBreakers(server string, endpoints func() iter.Seq2[string, bool]) error {
	if m == nil {
		return nil
	}
	collector := &breakerCollector{endpoints: endpoints, open: prometheus.NewDesc(
		prometheus.BuildFQName(namespace, subsystem, "breaker_open"),
		"1 while an endpoint of an authorization server is left alone because it failed, else 0; absent until it was called.",
		[]string{"endpoint"}, prometheus.Labels{"server": server},
	)}
	if err := m.registry.Register(collector); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

type breakerCollector struct {
	endpoints func() iter.Seq2[string, bool]
	open      *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *breakerCollector) Describe(out chan<- *prometheus.Desc) { out <- c.open }

// Collect implements prometheus.Collector.
func (c *breakerCollector) Collect(out chan<- prometheus.Metric) {
	for endpoint, open := range c.endpoints() {
		value := 0.0
		if open {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, value, endpoint)
	}
}
