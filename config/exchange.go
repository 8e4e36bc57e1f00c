package config

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Defaults of an exchange.
const (
	// DefaultMaxTTL is the longest reuse of a token.
	DefaultMaxTTL = 5 * time.Minute
	// DefaultCacheEntries is how many tokens an exchange remembers.
	DefaultCacheEntries = 100_000
)

// The grants of an exchange.
const (
	// GrantTokenExchange asks for another token by OAuth 2.0 Token Exchange
	// (RFC 8693).
	GrantTokenExchange = "token_exchange"
	// GrantJWTBearer presents the caller's token as an assertion (RFC 7523).
	GrantJWTBearer = "jwt_bearer"
	// GrantClientCredentials asks in the gateway's own name (RFC 6749, section 4.4).
	GrantClientCredentials = "client_credentials"
)

// Exchange says what one upstream gets instead of the caller's token.
type Exchange struct {
	// How the token is obtained: `token_exchange` (RFC 8693), `jwt_bearer` with the
	// caller's token as assertion (RFC 7523), or `client_credentials`, which sends
	// nothing of the caller and gets a token of the gateway's own. Default:
	// `token_exchange`.
	Grant string `json:"grant,omitempty"`

	// The name of the client that asks for the token. Required.
	Client string `json:"client,omitempty"`

	// What the caller's token is called in the request: `access_token`, `id_token`,
	// `jwt`, or an absolute URI that the server knows. Grant `token_exchange` only.
	// Default: `access_token`; in `then`, what the leg before asked for.
	SubjectType string `json:"subject_type,omitempty"`

	// The issuers, by name or URL, whose tokens may be sent to the client's
	// server. A caller with a token of any other issuer gets 403, and nothing is
	// sent. Default: the client's own issuer. Required if the client has a
	// `token_endpoint`.
	SubjectIssuer []string `json:"subject_issuer,omitempty"`

	// Who acts for the caller, as the token that comes back says. Grant
	// `token_exchange` only. Default: nobody; the token is the caller's alone.
	Actor *Actor `json:"actor,omitempty"`

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

	// Scopes that are asked for whatever the caller holds, instead of `scope`. The
	// server alone then decides what the caller may do.
	ScopeExact []string `json:"scope_exact,omitempty"`

	// What to ask for instead of a scope of `scope`, where the server uses other
	// names.
	ScopeMap []ScopePair `json:"scope_map,omitempty"`

	// The type of token to ask for: `access_token`, `id_token`, `jwt` or an absolute
	// URI. Grant `token_exchange` only. Default: none is asked for, and the server
	// decides.
	RequestedType string `json:"requested_type,omitempty"`

	// Further form fields that a server wants. Fields that the exchange or the
	// client's authentication writes are refused.
	Params []Param `json:"params,omitempty"`

	// The longest time that a token is reused. Default: 5m.
	MaxTTL Duration `json:"max_ttl,omitempty"`

	// How many tokens are remembered, or `off`. They take 128 MiB at most. Default:
	// 100000.
	CacheEntries Count `json:"cache_entries,omitempty"`

	// Where the upstream's token goes. Default: the header Authorization with the
	// scheme Bearer.
	Inject *Inject `json:"inject,omitempty"`

	// Which key of the gateway's the upstream's token is bound to, so that it is no
	// good to whoever steals it. Default: not bound, a bearer token.
	Bind *Bind `json:"bind,omitempty"`

	// Whether callers without a token are served too. Grant `client_credentials`
	// only: everybody who reaches the route then has the gateway's own access.
	// Default: false, which answers them with 401.
	Anonymous bool `json:"anonymous,omitempty"`

	// Which answers are good beside the usual ones. Default: a Bearer token of the
	// requested type, or an access token or JWT, with no wider scope than was asked
	// for.
	Accept *Accept `json:"accept,omitempty"`

	// Another request, fed with the token that this one got, in the same words but
	// for those of the whole exchange. Default: none.
	Then *Exchange `json:"then,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Label names the block and its place, for messages.
func (e *Exchange) Label(name string) string { return at("exchange "+name, e.Place) }

// GrantType returns how the token is obtained: one of the grants above.
func (e *Exchange) GrantType() string {
	if e.Grant == "" {
		return GrantTokenExchange
	}
	return e.Grant
}

// Legs returns the exchange and what follows it, in order.
func (e *Exchange) Legs() []*Exchange {
	var legs []*Exchange
	for leg := e; leg != nil; leg = leg.Then {
		legs = append(legs, leg)
	}
	return legs
}

// The grammar of an exchange, and of the block of token_exchange:
//
//	exchange <name> {
//		grant          token_exchange | jwt_bearer | client_credentials
//		client         <client>
//		subject_type   access_token | id_token | jwt | <uri>
//		subject_issuer <issuer...>
//		actor          none | self | file <path> [<type>]
//		audience       <aud...>
//		resource       <uri...>
//		scope          <scope...>
//		scope_exact    <scope...>
//		scope_map      <held> <asked>
//		requested_type <type>
//		param          <name> <value>
//		max_ttl        <duration>
//		cache_entries  <n> | off
//		inject         <header> [<scheme>]
//		bind           dpop | mtls [<cert file> <key file>]
//		anonymous
//		accept {
//			...
//		}
//		then {
//			... the same words, without those of the whole exchange
//		}
//	}
//
// scope_map and param may be repeated.
func (e *Exchange) options() []option {
	return []option{
		{word: "grant", read: readOne(&e.Grant)},
		{word: "client", read: readOne(&e.Client)},
		{word: "subject_type", read: readOne(&e.SubjectType)},
		{word: "subject_issuer", read: readList(&e.SubjectIssuer)},
		{word: "actor", read: e.readActor},
		{word: "audience", read: readList(&e.Audience)},
		{word: "resource", read: readList(&e.Resource)},
		{word: "scope", read: readList(&e.Scope)},
		{word: "scope_exact", read: readList(&e.ScopeExact)},
		{word: "scope_map", read: e.readScopeMap, repeat: true},
		{word: "requested_type", read: readOne(&e.RequestedType)},
		{word: "param", read: e.readParam, repeat: true},
		{word: "max_ttl", read: readOne(&e.MaxTTL)},
		{word: "cache_entries", read: readOne(&e.CacheEntries)},
		{word: "inject", read: e.readInject},
		{word: "bind", read: e.readBind},
		{word: "anonymous", read: readFlag(&e.Anonymous)},
		{word: "accept", read: e.readAccept},
		{word: "then", read: e.readThen},
	}
}

func (e *Exchange) settings() []setting {
	settings := slices.Concat(
		one("grant", &e.Grant, checkOneOf("grant", GrantTokenExchange, GrantJWTBearer, GrantClientCredentials)),
		one("client", &e.Client, checkName),
		one("subject_type", &e.SubjectType, checkTokenKind),
		list("subject_issuer", e.SubjectIssuer, checkRef),
		e.Actor.settings(),
		list("audience", e.Audience, checkText),
		list("resource", e.Resource, checkResource),
		list("scope", e.Scope, checkScope),
		list("scope_exact", e.ScopeExact, checkScope),
		e.scopeMapSettings(),
		one("requested_type", &e.RequestedType, checkTokenKind),
		e.paramSettings(),
		one("max_ttl", (*string)(&e.MaxTTL), checkPositive),
		one("cache_entries", (*string)(&e.CacheEntries), checkCountOrOff),
		e.Inject.settings(),
		e.Bind.settings(),
	)
	if e.Accept != nil {
		settings = append(settings, within("accept", e.Accept.settings())...)
	}
	if e.Then != nil {
		settings = append(settings, within("then", e.Then.settings())...)
	}
	return settings
}

func (e *Exchange) missing() error {
	switch {
	case e.Client == "":
		return errors.New("client is missing: write client <client>")
	case e.Inject != nil && e.Inject.Header == "":
		return errors.New("inject: the header is missing")
	}
	if err := e.missingScopes(); err != nil {
		return err
	}
	if e.Accept != nil {
		if err := e.Accept.missing(); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
	}
	if e.Then != nil {
		if err := e.Then.missing(); err != nil {
			return fmt.Errorf("then: %w", err)
		}
	}
	return nil
}

// links checks the names of other blocks. Without an issuer of the client's own
// nothing says whose tokens its server may see.
func (e *Exchange) links(g *Gatehouse) error {
	if err := e.legLinks(g); err != nil {
		return err
	}
	client := g.Clients[e.Client]
	if client.Issuer == "" && len(e.SubjectIssuer) == 0 && e.GrantType() != GrantClientCredentials {
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

// legLinks checks what every leg names.
func (e *Exchange) legLinks(g *Gatehouse) error {
	if _, ok := g.Clients[e.Client]; !ok {
		return fmt.Errorf("client: %w", unknown("client", e.Client, sorted(g.Clients)))
	}
	if e.Accept != nil && e.Accept.Verify != "" {
		if err := g.known(e.Accept.Verify); err != nil {
			return fmt.Errorf("accept: verify: %w", err)
		}
	}
	if e.Then != nil {
		if err := e.Then.legLinks(g); err != nil {
			return fmt.Errorf("then: %w", err)
		}
	}
	return nil
}
