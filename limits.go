package gatehouse

import (
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// limitCounts are what the limits of this process have counted; see lease.Pool. A
// reload gives nobody anew what is used up.
var limitCounts = lease.NewPool[*limit.Local]()

// provisionLimits finds out whether the store counts for all nodes.
func (a *App) provisionLimits() {
	rates, _ := a.store.(store.Rates)
	a.limits = limit.NewShared(rates, a.log, a.metrics.LimitAlone)
}

// Limit implements handlers.Services.
func (a *App) Limit(rule limit.Rule) *limit.Limit {
	held := limitCounts.Acquire(lease.KeyOf(rule.ID()), func() *limit.Local { return limit.NewLocal(0) }, nil)
	a.releases = append(a.releases, held.Release)
	made := limit.New(rule, held.Value, a.limits)
	if a.observed.limits == nil {
		a.observed.limits = make(map[string]observedLimit)
	}
	a.observed.limits[rule.ID()] = observedLimit{rule, made}
	return made
}
