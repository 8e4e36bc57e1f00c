package admin

import (
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Observed is what the admin API shows of the app. None of it asks anybody, and none
// makes a request wait.
type Observed interface {
	// KeySources are those whose keys the configuration needs, sorted by name.
	KeySources() []KeySource
	// Caches are what is kept of tokens.
	Caches() []Cache
	// Breakers are the endpoints of authorization servers that were called.
	Breakers() []Breaker
	// Exchanged are the exchanges, sorted by label.
	Exchanged() []Exchange
	// Storage is the store, and how it fares.
	Storage() Storage
	// Limited are the limits.
	Limited() []Limit
	// Listeners are the token_events.
	Listeners() []Listener
	// StatusLists are the status lists that tokens named, sorted by issuer and address.
	StatusLists() []StatusList
}

// A KeySource is one whose keys are needed to verify something.
type KeySource struct {
	// Name is that of its issuer block, "" if it has none.
	Name string
	// URL is the issuer's, or the one that the keys lie at.
	URL string
	// Role is what its keys are for: issuer, region, client or transmitter.
	Role   string
	Status keys.Status
	// Places are where its server runs, nil where there is none.
	Places []authserver.Place
	// Asked tells that the issuer is asked about its tokens, by introspection.
	Asked bool
}

// The roles.
const (
	RoleIssuer      = "issuer"
	RoleRegion      = "region"
	RoleClient      = "client"
	RoleTransmitter = "transmitter"
)

// A Cache is one memory of what was learned of tokens.
type Cache struct {
	token.CacheStats

	// Kind is remembered_tokens, introspection_answers, issued_tokens or CacheShared,
	// Name that of the exchange.
	Kind, Name string
	// Failures is how often a store of several nodes could not be asked.
	Failures uint64
}

// CacheShared is the kind of what nodes share of issued tokens. Its size is the store's
// to tell.
const CacheShared = "shared_issued_tokens"

// A Breaker is one endpoint of an authorization server.
type Breaker struct {
	authserver.EndpointState

	Server string
}

// An Exchange is one exchange and what is remembered of it.
type Exchange struct {
	exchange.Summary

	// Label is its name, or inline; Place is where it is written.
	Label, Place string
}

// Storage is how the store fares.
type Storage struct {
	// Kind is that of the store's module, such as memory.
	Kind string
	// Shared tells whether several nodes have it in common.
	Shared bool
	// Unreadable are the values and records that the secrets of this node do not open.
	UnreadableValues, UnreadableRecords uint64
	// MaxStaleness is how old the list of revocations may be, Open what is done then.
	MaxStaleness time.Duration
	Open         bool
}

// A Limit is one rule of a token_limit.
type Limit struct {
	limit.Rule
	limit.Stats
}

// A Listener is one token_events.
type Listener struct {
	Place string
	// Providers may log out, Transmitters push signals.
	Providers, Transmitters []string
}

// A StatusList is one list, of the issuer of the tokens that name it.
type StatusList struct {
	statuslist.Info

	Issuer string
}
