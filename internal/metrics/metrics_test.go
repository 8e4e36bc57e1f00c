package metrics_test

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gather reads counters, gauges and the counts of histograms, by name and labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "caddy_gatehouse_")
			for _, label := range metric.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.Validated("ok", time.Millisecond)
	m.Validated("expired", time.Microsecond)
	m.Allowed()
	m.Decided("denied", "scope")
	m.Decided("denied", "scope")
	m.Decided("shadowed", "acr")
	m.Limited(true)
	m.Limited(false)
	m.LimitAlone()
	m.EventDropped()
	m.Exchanges("orders").Hit(time.Microsecond)
	m.KeySetRefreshed("https://a.example.com", nil)
	m.KeySetRefreshed("https://a.example.com", errors.New("down"))
	m.KeyLookupRefused("https://a.example.com")
	watched := &keySet{age: 90 * time.Second}
	if err := m.WatchKeySet("https://a.example.com", watched); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"validations_total outcome=ok": 1, "validations_total outcome=expired": 1, "validation_duration_seconds": 2,
		"decisions_total outcome=allowed rule=": 1, "decisions_total outcome=denied rule=scope": 2,
		"decisions_total outcome=shadowed rule=acr":   1,
		"exchanges_total exchange=orders outcome=hit": 1, "exchange_duration_seconds exchange=orders": 1,
		"keyset_refreshes_total issuer=https://a.example.com outcome=ok":     1,
		"keyset_refreshes_total issuer=https://a.example.com outcome=failed": 1,
		"key_lookups_refused_total issuer=https://a.example.com":             1,
		"revocation_propagation_seconds":                                     0,
		"limit_total outcome=allowed":                                        1,
		"limit_total outcome=limited":                                        1,
		"limit_alone_total":                                                  1,
		"events_dropped_total":                                               1,
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	watched.known, watched.stale = true, true
	want["keyset_age_seconds issuer=https://a.example.com"] = 90
	want["keyset_stale issuer=https://a.example.com"] = 1
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("metrics once there are keys (-want +got):\n%s", diff)
	}
	watched.stale = false
	if got := gather(t, registry)["keyset_stale issuer=https://a.example.com"]; got != 0 {
		t.Errorf("keys that are young: stale %v", got)
	}
}

func TestSeveralIssuersAreWatched(t *testing.T) {
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{"https://a.example.com", "https://b.example.com"} {
		if err := m.WatchKeySet(issuer, new(keySet)); err != nil {
			t.Errorf("watching %s: %v", issuer, err)
		}
	}
	if m.WatchKeySet("https://a.example.com", new(keySet)) == nil {
		t.Error("one issuer was watched twice")
	}
}

func TestNoMetrics(t *testing.T) {
	var none *metrics.Metrics
	none.Validated("ok", 0)
	none.Limited(true)
	none.LimitAlone()
	none.EventDropped()
	none.Allowed()
	none.Decided("denied", "scope")
	none.Exchanges("orders").Count("ok", 0)
	none.Exchanges("orders").Hit(0)
	none.KeySetRefreshed("https://a.example.com", nil)
	none.KeyLookupRefused("https://a.example.com")
	if err := none.WatchKeySet("https://a.example.com", nil); err != nil {
		t.Error(err)
	}
	if err := none.WatchCaches(nil); err != nil {
		t.Error(err)
	}
}

func TestRegistryIsTaken(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := metrics.New(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(registry); err == nil {
		t.Error("one registry took the metrics of two configurations")
	}
}

type keySet struct {
	age          time.Duration
	known, stale bool
}

func (k *keySet) Age() (time.Duration, bool) { return k.age, k.known }

func (k *keySet) Stale() (stale, ok bool) { return k.stale, k.known }

func TestBreakers(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	var states []metrics.Breaker
	if err := m.WatchBreakers("https://idp.example.com", func() iter.Seq[metrics.Breaker] { return slices.Values(states) }); err != nil {
		t.Fatal(err)
	}
	const token, introspection = "https://idp.example.com/token", "https://idp.example.com/introspect"
	states = []metrics.Breaker{
		{Endpoint: token, Open: true, Openings: map[string]uint64{"timeout": 2, "status_503": 1}}, {Endpoint: introspection},
	}
	got := gather(t, registry)
	for reason, want := range map[string]float64{"timeout": 2, "status_503": 1} {
		name := "breaker_openings_total endpoint=" + token + " reason=" + reason + " server=https://idp.example.com"
		if value := got[name]; value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	for endpoint, want := range map[string]float64{token: 1, introspection: 0} {
		name := "breaker_open endpoint=" + endpoint + " server=https://idp.example.com"
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, %t, want %v", name, value, ok, want)
		}
	}
}

// A revoked tells of a list.
type revoked struct{ loaded bool }

func (r revoked) Lag() (time.Duration, bool) { return 2 * time.Second, r.loaded }
func (r revoked) Loaded() bool               { return r.loaded }
func (revoked) Undecodable() uint64          { return 3 }

func TestRevocations(t *testing.T) {
	for _, loaded := range []bool{false, true} {
		registry := prometheus.NewRegistry()
		m, err := metrics.New(registry)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.WatchRevocations(revoked{loaded}, func() iter.Seq2[string, int] {
			return maps.All(map[string]int{"jti": 7, "subject": 0})
		}); err != nil {
			t.Fatal(err)
		}
		m.RevocationArrived(time.Millisecond)
		m.RevocationArrived(-time.Hour) // the other node's clock is ahead
		want := map[string]float64{
			"revocations kind=jti": 7, "revocations kind=subject": 0, "revocations_undecodable_total": 3,
			"revocation_loaded": 0, "revocation_propagation_seconds": 2,
		}
		if loaded {
			want["revocation_loaded"], want["revocation_lag_seconds"] = 1, 2
		}
		got := gather(t, registry)
		maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.HasPrefix(name, "revocation") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("loaded %v (-want +got):\n%s", loaded, diff)
		}
	}
	if err := (*metrics.Metrics)(nil).WatchRevocations(nil, nil); err != nil {
		t.Error(err)
	}
	(*metrics.Metrics)(nil).RevocationArrived(time.Second)
}

// The handlers of events are modules that know nothing of each other, and count in one
// place.
func TestWebhooks(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, outcome := range []string{"delivered", "failed", "failed"} {
		hook, err := metrics.NewWebhooks(registry, "delivered", "failed", "dropped")
		if err != nil {
			t.Fatal(err)
		}
		hook.Count(outcome)
	}
	want := map[string]float64{
		"webhook_events_total outcome=delivered": 1, "webhook_events_total outcome=failed": 2, "webhook_events_total outcome=dropped": 0,
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// Somebody else's metric of that name is not counted in.
func TestWebhooksOfSomebodyElse(t *testing.T) {
	for name, other := range map[string]prometheus.Collector{
		//nolint:promlinter // that it is of the wrong kind is the point
		"another kind": prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "caddy_gatehouse_webhook_events_total", Help: "Events for webhooks, by outcome."}, []string{"outcome"}),
		"other labels": prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caddy_gatehouse_webhook_events_total", Help: "x"}, []string{"host"}),
	} {
		registry := prometheus.NewRegistry()
		registry.MustRegister(other)
		if _, err := metrics.NewWebhooks(registry); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
