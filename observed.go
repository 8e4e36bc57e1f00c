package gatehouse

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// observed is what the admin API shows, noted while the configuration is provisioned.
// What is in it is read, never asked.
type observed struct {
	sources   []observedSource
	guards    []observedGuard
	exchanges []observedExchange
	limits    map[string]observedLimit // by the rule's ID
	listeners []admin.Listener
	store     string // the module's name
}

type observedSource struct {
	name, url, role string
	source          *keys.Source
	server          *authserver.Server // nil where the keys are of no server
}

type observedGuard struct {
	server string
	guard  *authserver.Guard
}

type observedExchange struct {
	label, place string
	exchanger    *exchange.Exchanger
	state        *exchange.State
}

type observedLimit struct {
	rule  limit.Rule
	limit *limit.Limit
}

// KeySources implements admin.Observed.
func (a *App) KeySources() []admin.KeySource {
	sources := slices.Clone(a.observed.sources)
	for url, known := range a.issuers {
		name, _, _ := a.Issuer(url)
		sources = append(sources, observedSource{name: name, url: url, role: admin.RoleIssuer, source: known.source, server: a.servers[url]})
	}
	slices.SortFunc(sources, func(a, b observedSource) int {
		return cmp.Or(strings.Compare(a.url, b.url), strings.Compare(a.role, b.role))
	})
	all := make([]admin.KeySource, 0, len(sources))
	for _, one := range sources {
		shown := admin.KeySource{Name: one.name, URL: withoutQuery(one.url), Role: one.role, Status: one.source.Status()}
		if one.server != nil {
			shown.Places = one.server.Places()
		}
		if one.role == admin.RoleIssuer {
			_, shown.Asked = a.introspected[one.url]
		}
		all = append(all, shown)
	}
	return all
}

// withoutQuery shows a URL: what stands behind a question mark may be a secret.
func withoutQuery(url string) string {
	shown, _, _ := strings.Cut(url, "?")
	return shown
}

// Caches implements admin.Observed.
func (a *App) Caches() []admin.Cache {
	all := []admin.Cache{{Kind: derivedRemembered, CacheStats: a.cache.Value.Stats()}}
	answered, _ := a.derived.states()
	for _, state := range answered {
		all = append(all, admin.Cache{Kind: derivedAnswers, CacheStats: state.Stats()})
	}
	for _, one := range a.observed.exchanges {
		if !one.exchanger.Remembers() {
			continue
		}
		stats := one.state.Stats()
		all = append(all, admin.Cache{Kind: derivedIssued, Name: one.label, CacheStats: stats.CacheStats})
		if a.second != nil && !one.exchanger.Summary().Local {
			shared := token.CacheStats{Hits: stats.SharedHits, Misses: stats.SharedMisses}
			all = append(all, admin.Cache{Kind: admin.CacheShared, Name: one.label, CacheStats: shared, Failures: stats.SharedFailed})
		}
	}
	return all
}

// watchCaches publishes what Caches tells.
func (a *App) watchCaches() error {
	return a.metrics.WatchCaches(func() []metrics.Cache {
		seen := a.Caches()
		all := make([]metrics.Cache, len(seen))
		for i, one := range seen {
			all[i] = metrics.Cache{
				Kind: one.Kind, Exchange: one.Name, Entries: uint64(max(one.Entries, 0)), Bytes: one.Bytes, MaxBytes: one.MaxBytes,
				Hits: one.Hits, Misses: one.Misses, Evictions: one.Evictions,
			}
		}
		return all
	})
}

// Breakers implements admin.Observed.
func (a *App) Breakers() []admin.Breaker {
	var all []admin.Breaker
	for _, known := range a.observed.guards {
		for _, endpoint := range known.guard.Endpoints() {
			endpoint.URL = withoutQuery(endpoint.URL)
			all = append(all, admin.Breaker{Server: withoutQuery(known.server), EndpointState: endpoint})
		}
	}
	slices.SortFunc(all, func(a, b admin.Breaker) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.URL, b.URL))
	})
	return all
}

// Exchanged implements admin.Observed.
func (a *App) Exchanged() []admin.Exchange {
	all := make([]admin.Exchange, 0, len(a.observed.exchanges))
	for _, one := range a.observed.exchanges {
		all = append(all, admin.Exchange{Label: one.label, Place: one.place, Summary: one.exchanger.Summary()})
	}
	slices.SortStableFunc(all, func(a, b admin.Exchange) int {
		return cmp.Or(strings.Compare(a.Label, b.Label), strings.Compare(a.Place, b.Place))
	})
	return all
}

// Storage implements admin.Observed.
func (a *App) Storage() admin.Storage {
	bound := a.bound()
	shown := admin.Storage{Kind: a.observed.store, Shared: store.IsShared(a.store), MaxStaleness: bound.MaxStaleness, Open: bound.Open}
	if counts, ok := a.store.(unreadable); ok {
		shown.UnreadableValues, shown.UnreadableRecords = counts.Unreadable()
	}
	return shown
}

// Limited implements admin.Observed.
func (a *App) Limited() []admin.Limit {
	all := make([]admin.Limit, 0, len(a.observed.limits))
	for _, one := range a.observed.limits {
		all = append(all, admin.Limit{Rule: one.rule, Stats: one.limit.Stats()})
	}
	slices.SortFunc(all, func(a, b admin.Limit) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Path, b.Path), strings.Compare(a.Value, b.Value),
			cmp.Compare(a.Rate.Events, b.Rate.Events), cmp.Compare(a.Rate.Window, b.Rate.Window))
	})
	return all
}

// StatusLists implements admin.Observed.
func (a *App) StatusLists() []admin.StatusList {
	var all []admin.StatusList
	for url, known := range a.issuers {
		for _, info := range known.lists.Snapshot() {
			info.URI = withoutQuery(info.URI)
			all = append(all, admin.StatusList{Issuer: url, Info: info})
		}
	}
	slices.SortFunc(all, func(a, b admin.StatusList) int {
		return cmp.Or(strings.Compare(a.Issuer, b.Issuer), strings.Compare(a.URI, b.URI))
	})
	return all
}

// Listeners implements admin.Observed.
func (a *App) Listeners() []admin.Listener { return a.observed.listeners }
