package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// EventDropped counts one event that found no room behind a slow handler.
func (m *Metrics) EventDropped() {
	if m != nil {
		m.eventsDropped.Inc()
	}
}

// Webhooks counts what became of the events that webhooks of one configuration were
// to be told of.
type Webhooks struct{ outcomes *prometheus.CounterVec }

// NewWebhooks makes the counter and registers it, or takes the one that is there: each
// handler of events is a module for itself, and none knows of the others. The outcomes
// stand at 0 from the beginning, since a counter that begins with 1 is no increase to
// Prometheus, and the first event that is lost would raise no alert.
func NewWebhooks(registry prometheus.Registerer, outcomes ...string) (*Webhooks, error) {
	made := prometheus.NewCounterVec(options("webhook_events_total",
		"Events for webhooks, by outcome."), []string{labelOutcome})
	if err := registry.Register(made); err != nil {
		taken, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
		if made, ok = taken.ExistingCollector.(*prometheus.CounterVec); !ok {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	for _, outcome := range outcomes {
		made.WithLabelValues(outcome)
	}
	return &Webhooks{outcomes: made}, nil
}

// Count counts one event.
func (w *Webhooks) Count(outcome string) { w.outcomes.WithLabelValues(outcome).Inc() }
