package admin

import (
	"net/http"
	"time"
)

// Routes that show how the gateway fares. To add a section: a method of Observed, a
// type with a function that makes it here or beside, a row in lookRoutes, a member of
// overview, its problems in problems.go and a table in statustable.go.
const (
	routeStatus    = "/gatehouse/status"
	routeIssuers   = "/gatehouse/issuers"
	routeCaches    = "/gatehouse/caches"
	routeBreakers  = "/gatehouse/breakers"
	routeExchanges = "/gatehouse/exchanges"
	routeStore     = "/gatehouse/store"
	routeLimits    = "/gatehouse/limits"
	routeListeners = "/gatehouse/listeners"
)

// lookRoutes are those routes, and what a GET of them does.
func lookRoutes() map[string]operation {
	return map[string]operation{
		routeStatus:    lookOverview,
		routeIssuers:   paged(issuersOf),
		routeCaches:    paged(cachesOf),
		routeBreakers:  paged(breakersOf),
		routeExchanges: paged(exchangesOf),
		routeStore:     lookStore,
		routeLimits:    paged(limitsOf),
		routeListeners: paged(listenersOf),
	}
}

// An overview is what GET /gatehouse/status answers: all sections, each list with its
// first entries only, those in trouble before the others.
type overview struct {
	// At is the gateway's clock as it answered.
	At time.Time `json:"at"`
	// Problems are what is not as it should be, errors first.
	Problems  []problem              `json:"problems"`
	Issuers   section[issuerState]   `json:"issuers"`
	Keys      *keyList               `json:"keys,omitempty"`
	Exchanges section[exchangeState] `json:"exchanges"`
	Breakers  section[breakerState]  `json:"breakers"`
	Caches    section[cacheState]    `json:"caches"`
	Store     storeState             `json:"store"`
	Limits    section[limitState]    `json:"limits"`
	Listeners section[listenerState] `json:"listeners"`
}

func lookOverview(r *http.Request, app Operated) (any, error) {
	if _, err := readQuery(r); err != nil {
		return nil, err
	}
	return look(app, time.Now()), nil
}

// look reads everything once.
func look(app Operated, now time.Time) *overview {
	issuers, exchanges, breakers := issuersOf(app), exchangesOf(app), breakersOf(app)
	limits := limitsOf(app)
	all := &overview{At: utc(now), Store: storeOf(app), Caches: first(cachesOf(app)), Listeners: first(listenersOf(app))}
	if app.Ring() != nil {
		keys := keysOf(app.Ring())
		all.Keys = &keys
	}
	all.Problems = problemsOf(now, issuers, exchanges, breakers, limits, &all.Store, all.Keys)
	all.Issuers, all.Exchanges, all.Breakers, all.Limits = first(issuers), first(exchanges), first(breakers), first(limits)
	return all
}

func lookStore(r *http.Request, app Operated) (any, error) {
	if _, err := readQuery(r); err != nil {
		return nil, err
	}
	return storeOf(app), nil
}
