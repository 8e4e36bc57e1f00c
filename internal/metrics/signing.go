package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SigningStatus is how the gateway's own keys fare.
type SigningStatus struct {
	// Degraded tells that the storage has been out of reach for a while, or that a key
	// signs beyond its planned end, or that there is none.
	Degraded bool
	// Ages are how long the key of each purpose has been signing.
	Ages map[string]time.Duration
}

// Signing counts what becomes of the gateway's own keys. A nil *Signing counts
// nothing.
type Signing struct {
	rotations *prometheus.CounterVec
	errors    prometheus.Counter
	status    func() SigningStatus

	age, degraded *prometheus.Desc
}

// WatchSigning publishes how the gateway's own keys fare, read when metrics are
// scraped.
func (m *Metrics) WatchSigning(status func() SigningStatus) (*Signing, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // counts nothing, and no fault
	}
	s := &Signing{
		status: status,
		rotations: prometheus.NewCounterVec(options("signing_rotations_total",
			"Times that another of the gateway's keys began to sign, by purpose."), []string{"purpose"}),
		errors: prometheus.NewCounter(options("signing_storage_errors_total",
			"Times that the gateway's keys could not be read from Caddy's storage, or written there.")),
		age: prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, "signing_key_age_seconds"),
			"How long the gateway's active key has been signing; absent while there is none.", []string{"purpose"}, nil),
		degraded: prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, "signing_degraded"),
			"1 while Caddy's storage is out of reach, or a key signs beyond its planned end, or none does; else 0.", nil, nil),
	}
	for _, collector := range []prometheus.Collector{s.rotations, s.errors, s} {
		if err := m.registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return s, nil
}

// Rotated counts that another key signs.
func (s *Signing) Rotated(purpose string) {
	if s != nil {
		s.rotations.WithLabelValues(purpose).Inc()
	}
}

// Failed counts that the storage could not be read or written.
func (s *Signing) Failed() {
	if s != nil {
		s.errors.Inc()
	}
}

// Describe implements prometheus.Collector.
func (s *Signing) Describe(out chan<- *prometheus.Desc) {
	out <- s.age
	out <- s.degraded
}

// Collect implements prometheus.Collector.
func (s *Signing) Collect(out chan<- prometheus.Metric) {
	status := s.status()
	for purpose, age := range status.Ages {
		out <- prometheus.MustNewConstMetric(s.age, prometheus.GaugeValue, age.Seconds(), purpose)
	}
	degraded := 0.0
	if status.Degraded {
		degraded = 1
	}
	out <- prometheus.MustNewConstMetric(s.degraded, prometheus.GaugeValue, degraded)
}
