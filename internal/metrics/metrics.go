// Package metrics holds Gatehouse's Prometheus collectors. They live on the
// registry of one Caddy configuration. Every label takes its values from the
// configuration or from a fixed list, never from a request: a caller must not be
// able to grow the gateway's memory.
package metrics

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	namespace = "caddy"
	subsystem = "gatehouse"

	labelOutcome = "outcome"
	labelIssuer  = "issuer"
)

// Metrics records what the gateway does. A nil *Metrics records nothing.
type Metrics struct {
	validations        *prometheus.CounterVec
	validationDuration prometheus.Histogram
	decisions          *prometheus.CounterVec
	exchanges          *prometheus.CounterVec
	exchangeDuration   *prometheus.HistogramVec
	shared             *prometheus.CounterVec
	refreshes          *prometheus.CounterVec
	introspections     *prometheus.CounterVec
	lookupsRefused     *prometheus.CounterVec
	serviceRequests    *prometheus.CounterVec
	propagation        prometheus.Histogram
	signals            *prometheus.CounterVec
	limited            *prometheus.CounterVec
	limitedAlone       prometheus.Counter
	statusLists        *prometheus.CounterVec
	eventsDropped      prometheus.Counter

	// The counters of what nearly every request counts, found once: to find one by
	// its labels costs more than to count.
	validated, allowed prometheus.Counter

	registry prometheus.Registerer
}

// Durations of validations reach from a remembered token (microseconds) to one
// that waits for keys (seconds); those of exchanges from a cached one likewise.
var (
	validationBuckets = []float64{2e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2, 0.1, 1, 5}
	exchangeBuckets   = []float64{2e-6, 1e-5, 1e-4, 1e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
	// Those of revocations from a wait for the network to an outage of the store.
	propagationBuckets = []float64{1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300}
)

// New makes the collectors and registers them.
func New(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{registry: registry}
	m.validations = prometheus.NewCounterVec(options("validations_total",
		"Credentials that token_auth looked at, by outcome."), []string{labelOutcome})
	m.decisions = prometheus.NewCounterVec(options("decisions_total",
		"Decisions of token_require, by outcome and the rule that refused."), []string{labelOutcome, "rule"})
	m.exchanges = prometheus.NewCounterVec(options("exchanges_total",
		"Tokens that token_exchange asked for, by exchange and outcome."), []string{"exchange", labelOutcome})
	m.shared = prometheus.NewCounterVec(options("exchange_shared_total",
		"Uses of what nodes share of exchanged tokens, by exchange and outcome."), []string{"exchange", labelOutcome})
	m.refreshes = prometheus.NewCounterVec(options("keyset_refreshes_total",
		"Renewals of issuers' key sets, by issuer and outcome."), []string{labelIssuer, labelOutcome})
	m.lookupsRefused = prometheus.NewCounterVec(options("key_lookups_refused_total",
		"Unknown keys that were not looked for, since the issuer's budget was used up."), []string{labelIssuer})
	m.introspections = prometheus.NewCounterVec(options("introspections_total",
		"Questions to issuers about tokens, by issuer and outcome; answers that are remembered ask nothing."), []string{labelIssuer, labelOutcome})
	m.statusLists = prometheus.NewCounterVec(options("status_list_fetches_total",
		"Fetches of issuers' status lists, by issuer and outcome."), []string{labelIssuer, labelOutcome})
	m.serviceRequests = prometheus.NewCounterVec(options("service_requests_total",
		"Requests that token_service answered, by endpoint and outcome."), []string{"endpoint", labelOutcome})
	m.signals = prometheus.NewCounterVec(options("signals_total",
		"Logout tokens and Security Event Tokens that came to token_events, by kind and outcome."), []string{"kind", labelOutcome})
	m.limited = prometheus.NewCounterVec(options("limit_total",
		"Requests that token_limit counted, by outcome."), []string{labelOutcome})
	m.limitedAlone = prometheus.NewCounter(options("limit_alone_total",
		"Requests that token_limit counted in this process alone, since the store did not answer."))
	m.eventsDropped = prometheus.NewCounter(options("events_dropped_total",
		"Events that were dropped, since a handler of events is too slow."))
	m.validationDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "validation_duration_seconds",
		Help: "Time that token_auth took to validate a credential.", Buckets: validationBuckets,
	})
	m.exchangeDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "exchange_duration_seconds",
		Help: "Time that token_exchange took to get a token, cached ones included.", Buckets: exchangeBuckets,
	}, []string{"exchange"})
	m.propagation = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "revocation_propagation_seconds",
		Help: "Time from a revocation on another node until it was in force on this one, by the clocks of both.", Buckets: propagationBuckets,
	})
	for _, collector := range []prometheus.Collector{
		m.validations, m.validationDuration, m.decisions, m.exchanges, m.exchangeDuration, m.shared, m.refreshes, m.lookupsRefused, m.introspections,
		m.serviceRequests, m.propagation, m.limited, m.limitedAlone, m.signals, m.statusLists, m.eventsDropped,
	} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	m.validated = m.validations.WithLabelValues(validatedOK)
	m.allowed = m.decisions.WithLabelValues(decidedAllowed, "")
	return m, nil
}

// The outcomes of what is let pass.
const (
	validatedOK    = "ok"
	decidedAllowed = "allowed"
)

func options(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
}

// Validated counts one credential that token_auth looked at.
func (m *Metrics) Validated(outcome string, took time.Duration) {
	if m == nil {
		return
	}
	if outcome == validatedOK {
		m.validated.Inc()
	} else {
		m.validations.WithLabelValues(outcome).Inc()
	}
	m.validationDuration.Observe(took.Seconds())
}

// Decided counts one decision of token_require. The rule is the kind of the one
// that refused, a word of the configuration's grammar. See Allowed for none.
func (m *Metrics) Decided(outcome, rule string) {
	if m == nil {
		return
	}
	m.decisions.WithLabelValues(outcome, rule).Inc()
}

// Allowed counts one request that token_require let pass.
func (m *Metrics) Allowed() {
	if m != nil {
		m.allowed.Inc()
	}
}

// Limited counts one request that token_limit let pass, or did not.
func (m *Metrics) Limited(allowed bool) {
	if m == nil {
		return
	}
	outcome := "limited"
	if allowed {
		outcome = decidedAllowed
	}
	m.limited.WithLabelValues(outcome).Inc()
}

// LimitAlone counts one request that token_limit counted without the store.
func (m *Metrics) LimitAlone() {
	if m != nil {
		m.limitedAlone.Inc()
	}
}

// Exchanges counts the tokens that one token_exchange asks for. A nil one counts
// nothing.
type Exchanges struct {
	outcomes *prometheus.CounterVec
	duration prometheus.Observer
	// hits are what nearly every request counts.
	hits prometheus.Counter
}

// exchangedHit is the outcome of a token that was remembered.
const exchangedHit = "hit"

// Exchanges returns what counts for the exchange of that name.
func (m *Metrics) Exchanges(exchange string) *Exchanges {
	if m == nil {
		return nil
	}
	label := prometheus.Labels{"exchange": exchange}
	outcomes := m.exchanges.MustCurryWith(label)
	return &Exchanges{
		outcomes: outcomes, hits: outcomes.WithLabelValues(exchangedHit), duration: m.exchangeDuration.With(label),
	}
}

// Count counts one token.
func (e *Exchanges) Count(outcome string, took time.Duration) {
	if e == nil {
		return
	}
	e.outcomes.WithLabelValues(outcome).Inc()
	e.duration.Observe(took.Seconds())
}

// Hit counts one token that was remembered.
func (e *Exchanges) Hit(took time.Duration) {
	if e == nil {
		return
	}
	e.hits.Inc()
	e.duration.Observe(took.Seconds())
}

// Served counts one request that token_service answered.
func (m *Metrics) Served(endpoint, outcome string) {
	if m == nil {
		return
	}
	m.serviceRequests.WithLabelValues(endpoint, outcome).Inc()
}

// Signalled counts one signal that came to token_events.
func (m *Metrics) Signalled(kind, outcome string) {
	if m == nil {
		return
	}
	m.signals.WithLabelValues(kind, outcome).Inc()
}

// KeySetRefreshed counts one renewal of an issuer's key set.
func (m *Metrics) KeySetRefreshed(issuer string, err error) {
	if m == nil {
		return
	}
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	m.refreshes.WithLabelValues(issuer, outcome).Inc()
}

// KeyLookupRefused counts one unknown key of an issuer that was not looked for.
func (m *Metrics) KeyLookupRefused(issuer string) {
	if m == nil {
		return
	}
	m.lookupsRefused.WithLabelValues(issuer).Inc()
}

// Introspecting returns what counts the questions to one issuer. It has the form
// of introspection.Config's Observe.
func (m *Metrics) Introspecting(issuer string, outcome func(error) string) func(caller, call context.Context) (context.Context, func(error)) {
	return func(_, call context.Context) (context.Context, func(error)) {
		return call, func(err error) {
			if m != nil {
				m.introspections.WithLabelValues(issuer, outcome(err)).Inc()
			}
		}
	}
}

// SharedExchange counts one use of what nodes share of exchanged tokens.
func (m *Metrics) SharedExchange(exchange, outcome string) {
	if m == nil {
		return
	}
	m.shared.WithLabelValues(exchange, outcome).Inc()
}
