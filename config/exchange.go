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
	// GrantLocal asks nobody: the gateway mints the token itself.
	GrantLocal = "local"
)

// Exchange says what one upstream gets instead of the caller's token.
type Exchange struct {
	// How the token is obtained: `token_exchange` (RFC 8693), `jwt_bearer` with the
	// caller's token as assertion (RFC 7523), `client_credentials`, which sends
	// nothing of the caller and gets a token of the gateway's own, or `local`, which
	// asks nobody: the gateway signs the token itself, with the keys of `sign`.
	// Default: `token_exchange`.
	Grant string `json:"grant,omitempty"`

	// The name of the client that asks for the token. Required, but for grant `local`,
	// which has none.
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

	// Who acts for the caller, as the upstream's token says (RFC 8693, section 4.1).
	// Grants `token_exchange` and `local` only. Default: nobody, so that the token is
	// the caller's alone; for `local` the gateway itself, and those who acted before
	// it.
	Actor *Actor `json:"actor,omitempty"`

	// The logical names of the services the token is for (RFC 8693, section 2.1).
	// Default: none.
	Audience []string `json:"audience,omitempty"`

	// The absolute URIs, without fragment, of the services the token is for
	// (RFC 8707, section 2). Grant `local` takes one audience or one resource.
	// Default: none.
	Resource []string `json:"resource,omitempty"`

	// A ceiling: the gateway asks for those of these scopes that the caller holds.
	// A caller that holds none of them gets 403, and nothing is sent. Default:
	// no scope is asked, and the answer's must lie within what the caller holds;
	// grant `local` then mints a token without scope.
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

	// Claims of the caller's token that the minted one has too, in a transaction token
	// within `tctx`. A caller without such a claim gets a token without it. Grant
	// `local` only. Default: none.
	Claims []ClaimCopy `json:"claims,omitempty"`

	// What is minted: `at`, an access token (RFC 9068), or `txn`, a transaction token,
	// which goes along unchanged with all calls that one request sets off. Grant
	// `local` only. Default: `at`.
	Type string `json:"type,omitempty"`

	// How long a minted token is good, between 5s and 10m, for `type txn` at most 1m. It
	// never outlives the caller's. Grant `local` only. Default: 2m, for `type txn` 1m.
	Lifetime Duration `json:"lifetime,omitempty"`

	// The longest time that a token is reused. Default: 5m.
	MaxTTL Duration `json:"max_ttl,omitempty"`

	// How many tokens are remembered, or `off`. They take 128 MiB at most. One caller
	// (`sub` at one issuer) has a hundredth of both and 16 tokens at least: further
	// ones push out its own oldest. Default: 100000.
	CacheEntries Count `json:"cache_entries,omitempty"`

	// Where the upstream's token goes. Default: the header Authorization with the
	// scheme Bearer; for `type txn` the header Txn-Token, without a scheme.
	Inject *Inject `json:"inject,omitempty"`

	// Which key of the gateway's the upstream's token is bound to, so that it is no
	// good to whoever steals it. Default: not bound, a bearer token.
	Bind *Bind `json:"bind,omitempty"`

	// Whether callers without a token are served too. Grants `client_credentials` and
	// `local` only: everybody who reaches the route then has the gateway's own access.
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
//		grant          token_exchange | jwt_bearer | client_credentials | local
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
//		claim          <name> <path>
//		type           at | txn
//		lifetime       <duration>
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
// scope_map, param and claim may be repeated.
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
		{word: "claim", read: e.readClaim, repeat: true},
		{word: "type", read: readOne(&e.Type)},
		{word: "lifetime", read: readOne(&e.Lifetime)},
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
		one("grant", &e.Grant, checkOneOf("grant", GrantTokenExchange, GrantJWTBearer, GrantClientCredentials, GrantLocal)),
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
		e.claimSettings(),
		one("type", &e.Type, checkOneOf("type", TypeAccess, TypeTransaction)),
		one("lifetime", (*string)(&e.Lifetime), checkLifetime),
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
	if e.Inject != nil && e.Inject.Header == "" {
		return errors.New("inject: the header is missing")
	}
	if e.IsLocal() {
		if err := e.missingLocal(); err != nil {
			return err
		}
	} else if err := e.missingGrant(); err != nil {
		return err
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
	if e.IsLocal() {
		return e.localLinks(g)
	}
	if err := e.legLinks(g); err != nil {
		return err
	}
	if err := e.bindLinks(g); err != nil {
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
