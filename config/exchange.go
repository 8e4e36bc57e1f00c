package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Defaults of an exchange.
const (
	// DefaultMaxTTL is the longest reuse of a token.
	DefaultMaxTTL = 5 * time.Minute
	// DefaultCacheEntries is how many tokens an exchange remembers.
	DefaultCacheEntries = 100_000
)

// GrantTokenExchange asks for another token by OAuth 2.0 Token Exchange
// (RFC 8693).
const GrantTokenExchange = "token_exchange"

// Exchange says what one upstream gets instead of the caller's token.
type Exchange struct {
	// How the token is obtained: `token_exchange` (RFC 8693). Default:
	// `token_exchange`.
	Grant string `json:"grant,omitempty"`

	// The name of the client that asks for the token. Required.
	Client string `json:"client,omitempty"`

	// The issuers, by name or URL, whose tokens may be sent to the client's
	// server. A caller with a token of any other issuer gets 403, and nothing is
	// sent. Default: the client's own issuer. Required if the client has a
	// `token_endpoint`.
	SubjectIssuer []string `json:"subject_issuer,omitempty"`

	// The logical names of the services the token is for (RFC 8693, section 2.1).
	// Default: none.
	Audience []string `json:"audience,omitempty"`

	// The absolute URIs, without fragment, of the services the token is for
	// (RFC 8707, section 2). Default: none.
	Resource []string `json:"resource,omitempty"`

	// A ceiling: the gateway asks for those of these scopes that the caller holds.
	// A caller that holds none of them gets 403, and nothing is sent. Default:
	// no scope is asked, and the answer's must lie within what the caller holds.
	Scope []string `json:"scope,omitempty"`

	// The longest time that a token is reused. Default: 5m.
	MaxTTL Duration `json:"max_ttl,omitempty"`

	// How many tokens are remembered, or `off`. They take 128 MiB at most. Default:
	// 100000.
	CacheEntries Count `json:"cache_entries,omitempty"`

	// Where the upstream's token goes. Default: the header Authorization with the
	// scheme Bearer.
	Inject *Inject `json:"inject,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Inject says in which request header the upstream finds its token.
type Inject struct {
	// The name of the header. Headers of the connection, of the message's framing
	// and of proxying are refused. Caddy's debug log hides the content of
	// Authorization, and of no other header that may be written here. Required.
	Header string `json:"header,omitempty"`

	// The authentication scheme in front of the token. Default: none, the header
	// is the token alone.
	Scheme string `json:"scheme,omitempty"`
}

// Label names the block and its place, for messages.
func (e *Exchange) Label(name string) string { return at("exchange "+name, e.Place) }

// Target returns the header and the scheme, "" for none, of an upstream's token.
// A nil Inject is the default, Authorization and Bearer.
func (i *Inject) Target() (header, scheme string) {
	if i == nil {
		return "Authorization", "Bearer"
	}
	return i.Header, i.Scheme
}

// The grammar of an exchange, and of the block of token_exchange:
//
//	exchange <name> {
//		grant          token_exchange
//		client         <client>
//		subject_issuer <issuer...>
//		audience       <aud...>
//		resource       <uri...>
//		scope          <scope...>
//		max_ttl        <duration>
//		cache_entries  <n> | off
//		inject         <header> [<scheme>]
//	}
func (e *Exchange) options() []option {
	return []option{
		{word: "grant", read: readOne(&e.Grant)},
		{word: "client", read: readOne(&e.Client)},
		{word: "subject_issuer", read: readList(&e.SubjectIssuer)},
		{word: "audience", read: readList(&e.Audience)},
		{word: "resource", read: readList(&e.Resource)},
		{word: "scope", read: readList(&e.Scope)},
		{word: "max_ttl", read: readOne(&e.MaxTTL)},
		{word: "cache_entries", read: readOne(&e.CacheEntries)},
		{word: "inject", read: e.readInject},
	}
}

func (e *Exchange) readInject(d *caddyfile.Dispenser) error {
	e.Inject = new(Inject)
	if err := readOne(&e.Inject.Header)(d); err != nil {
		return fmt.Errorf("%w: write inject <header> [<scheme>]", err)
	}
	if d.CountRemainingArgs() == 0 {
		return nil
	}
	return readOne(&e.Inject.Scheme)(d)
}

func (e *Exchange) settings() []setting {
	settings := slices.Concat(
		one("grant", &e.Grant, checkOneOf("grant", GrantTokenExchange)),
		one("client", &e.Client, checkName),
		list("subject_issuer", e.SubjectIssuer, checkRef),
		list("audience", e.Audience, checkText),
		list("resource", e.Resource, checkResource),
		list("scope", e.Scope, checkScope),
		one("max_ttl", (*string)(&e.MaxTTL), checkPositive),
		one("cache_entries", (*string)(&e.CacheEntries), checkCountOrOff),
	)
	if e.Inject == nil {
		return settings
	}
	return append(settings, slices.Concat(
		one("inject", &e.Inject.Header, checkInjectHeader),
		one("inject", &e.Inject.Scheme, checkScheme),
	)...)
}

func (e *Exchange) contradiction() error { return nil }

func (e *Exchange) missing() error {
	switch {
	case e.Client == "":
		return errors.New("client is missing: write client <client>")
	case e.Inject != nil && e.Inject.Header == "":
		return errors.New("inject: the header is missing")
	}
	return nil
}

// links checks the names of other blocks. Without an issuer of the client's own
// nothing says whose tokens its server may see.
func (e *Exchange) links(g *Gatehouse) error {
	client, ok := g.Clients[e.Client]
	if !ok {
		return fmt.Errorf("client: %w", unknown("client", e.Client, sorted(g.Clients)))
	}
	if client.Issuer == "" && len(e.SubjectIssuer) == 0 {
		return fmt.Errorf("subject_issuer is missing: %s has a token_endpoint and no issuer, so write whose tokens it may be sent",
			client.Label(e.Client))
	}
	for _, ref := range e.SubjectIssuer {
		if err := g.known(ref); err != nil {
			return fmt.Errorf("subject_issuer: %w", err)
		}
	}
	return nil
}
