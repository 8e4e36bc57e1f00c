package gatehouse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// exchangeStates and guards outlive configurations; see lease.Pool. A reload does
// not heal a server that is down.
var (
	exchangeStates = lease.NewPool[*exchange.State]()
	guards         = lease.NewPool[*authserver.Guard]()
	provers        = lease.NewPool[*proof.Prover]()
)

// provisionClients makes every client of the global block, used or not: a mistake
// in one that no site uses yet should show now.
func (a *App) provisionClients() error {
	for name, block := range a.Clients {
		client, err := a.client(block)
		if err != nil {
			return fmt.Errorf("%s: %w", at("client "+name, block.Place), err)
		}
		a.clients[name] = client
	}
	return nil
}

// provisionExchanges makes every exchange of the global block, used or not.
func (a *App) provisionExchanges() error {
	for name, block := range a.Exchanges {
		exchanger, err := a.exchanger(name, block)
		if err != nil {
			return fmt.Errorf("%s: %w", at("exchange "+name, block.Place), err)
		}
		a.exchanges[name] = exchanger
		a.asks(name, block)
		if block.Anonymous {
			a.warnAnonymous(name, block.Place)
		}
	}
	return nil
}

// warnAnonymous says at load that an exchange gives the gateway's own access to
// everybody.
func (a *App) warnAnonymous(name, place string) {
	a.log.Warn("exchange serves callers without a token", "exchange", name, "place", place)
}

func (a *App) client(block *config.Client) (*authserver.Client, error) {
	bundles, err := readBundles(block.TrustCA)
	if err != nil {
		return nil, err
	}
	options := authserver.ClientOptions{
		ID: block.ClientID, TokenEndpoint: block.TokenEndpoint, TrustCA: bundles,
		Timeout: block.Timeout.Or(config.DefaultClientTimeout),
	}
	if block.Issuer != "" {
		if options.Server, err = a.clientServer(block); err != nil {
			return nil, err
		}
	}
	if options.Auth, err = a.clientAuth(block); err != nil {
		return nil, err
	}
	options.Log = a.log
	if options.Guard, err = a.guard(block); err != nil {
		return nil, err
	}
	client, err := authserver.NewClient(options)
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, client.Close)
	return client, nil
}

// clientServer is the server that a client asks: the one of an issuer block, or
// one that is called and never trusted.
func (a *App) clientServer(block *config.Client) (*authserver.Server, error) {
	if _, issuer, ok := a.Issuer(block.Issuer); ok {
		return a.server(issuer.URLs[0], issuer)
	}
	bundles, err := readBundles(block.TrustCA)
	if err != nil {
		return nil, err
	}
	server, err := authserver.NewServer(authserver.ServerOptions{
		Issuer: block.Issuer, TrustCA: bundles, Timeout: block.Timeout.Or(config.DefaultClientTimeout),
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, server.Close)
	return server, nil
}

// exchanger makes one exchange, known by that label in metrics. Its state is shared
// with earlier and later configurations that say the same.
func (a *App) exchanger(label string, block *config.Exchange) (*exchange.Exchanger, error) {
	key, err := a.exchangeKey(block)
	if err != nil {
		return nil, err
	}
	entries := block.CacheEntries.Or(config.DefaultCacheEntries)
	held := exchangeStates.Acquire(key, func() *exchange.State {
		return exchange.NewState(entries, exchange.DefaultCacheBytes)
	}, (*exchange.State).Close)
	a.releases = append(a.releases, held.Release)
	a.derived.issues(held.Value)
	_, scheme := block.Target()
	settings := exchange.Config{
		Scheme: scheme, State: held.Value, SubjectIssuers: a.subjectIssuers(block),
		Anonymous: block.Anonymous, MaxTTL: block.MaxTTL.Or(config.DefaultMaxTTL), Checker: subjectChecker{a},
		Revoked: a.isRevoked, Ancestry: a.ancestry, Sharing: a.sharing(label, key),
		Misconfigured: a.misconfigured(label, block.Place),
	}
	if block.IsLocal() {
		if settings.Local, err = a.local(block); err != nil {
			return nil, err
		}
	}
	for _, part := range block.Legs() {
		leg, err := a.leg(part, block.Bind != nil && part.Then == nil)
		if err != nil {
			return nil, err
		}
		settings.Then = append(settings.Then, leg)
	}
	if err := a.bind(block, &settings); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	settings.Leg, settings.Then = settings.Then[0], settings.Then[1:]
	made, err := exchange.New(settings)
	if err == nil {
		a.observed.exchanges = append(a.observed.exchanges, observedExchange{label, block.Place, made, held.Value})
	}
	return made, err
}

// bind binds what the last leg gets, if the exchange says so.
func (a *App) bind(block *config.Exchange, settings *exchange.Config) error {
	switch block.BindKind() {
	case config.BindDPoP:
		settings.Scheme, settings.Bind.Prover = "DPoP", a.prover()
	case config.BindMTLS:
		if block.IsLocal() {
			files := authserver.CertificateFiles{Certificate: block.Bind.Certificate, Key: block.Bind.Key}
			certificate, err := a.Certificate(files)
			settings.Bind.Certificate = certificate
			return err
		}
		legs := block.Legs()
		client, err := a.showing(block.Bind, legs[len(legs)-1].Client)
		if err != nil {
			return err
		}
		settings.Then[len(legs)-1].Client, settings.Bind.Certificate = client, client.Certificate()
	}
	return nil
}

// showing makes the client that asks with a certificate: its own, or the files of
// the binding.
func (a *App) showing(block *config.Bind, name string) (*authserver.Client, error) {
	client := a.clients[name]
	if client.Certificate() != nil && block.Certificate == "" {
		return client, nil
	}
	files := authserver.CertificateFiles{Certificate: block.Certificate, Key: block.Key}
	if own := a.Clients[name].Certificate; block.Certificate == "" {
		files = authserver.CertificateFiles{Certificate: own.Certificate, Key: own.Key} // Check has seen that it is there
	}
	certificate, err := a.Certificate(files)
	if err != nil {
		return nil, err
	}
	shows, err := client.Showing(certificate)
	if err == nil && shows != client {
		a.releases = append(a.releases, shows.Close)
	}
	return shows, err
}

// prover has the one key of this process that upstreams' tokens are bound to. It
// outlives configurations, as the tokens do.
func (a *App) prover() *proof.Prover {
	held := provers.Acquire(lease.KeyOf("prover"), proof.NewProver, nil)
	a.releases = append(a.releases, held.Release)
	return held.Value
}

// leg makes one request of an exchange; bound tells that its token is bound.
func (a *App) leg(block *config.Exchange, bound bool) (exchange.Leg, error) {
	leg := exchange.Leg{
		Grant:       exchange.Grant(block.GrantType()),
		SubjectType: tokenType(block.SubjectType), RequestedType: tokenType(block.RequestedType),
		Audience: block.Audience, Resource: block.Resource, Scope: block.Scope, ScopeExact: block.ScopeExact,
	}
	if !block.IsLocal() {
		leg.Client, leg.Actor = a.clients[block.Client], actor(block.Actor)
	}
	for _, pair := range block.ScopeMap {
		if leg.ScopeMap == nil {
			leg.ScopeMap = make(map[string][]string)
		}
		leg.ScopeMap[pair.Held] = append(leg.ScopeMap[pair.Held], pair.Asked)
	}
	for _, param := range block.Params {
		leg.Params = append(leg.Params, exchange.Param(param))
	}
	if err := leg.Actor.Check(); err != nil {
		return leg, err
	}
	if block.Accept == nil {
		return leg, nil
	}
	leg.Accept = exchange.Accept{TokenTypes: block.Accept.TokenType, WiderScope: block.Accept.WiderScope}
	for _, word := range block.Accept.IssuedType {
		leg.Accept.Issued = append(leg.Accept.Issued, tokenType(word))
	}
	var err error
	if block.Accept.Verify != "" {
		leg.Accept.VerifyIssuer, leg.Accept.Verifier, err = a.answerVerifier(block, bound)
	}
	return leg, err
}

// tokenType is the URI of a word that Check has seen, "" for none.
func tokenType(word string) string {
	uri, err := exchange.ParseTokenType(word)
	if err != nil {
		return ""
	}
	return uri
}

func actor(block *config.Actor) *exchange.Actor {
	switch {
	case block == nil || block.None:
		return nil
	case block.Self:
		return exchange.NewSelfActor()
	default:
		return exchange.NewFileActor(block.File, tokenType(block.Type))
	}
}

// answerVerifier verifies what comes back by the rules of an issuer, with the
// audience that is asked for. An issuer that no block trusts is not trusted by
// this: its keys serve this exchange alone.
func (a *App) answerVerifier(block *config.Exchange, bound bool) (string, *token.Verifier, error) {
	urls := a.issuerURLs([]string{block.Accept.Verify})
	rules := token.VerifierConfig{
		Audience: token.Audience{Values: slices.Concat(block.Audience, block.Resource)},
		Bindings: bound, // the exchange looks to what
	}
	for _, url := range urls {
		issuer, err := a.answerIssuer(url, block.Accept.Verify)
		if err != nil {
			return "", nil, fmt.Errorf("accept: verify: %w", err)
		}
		rules.Issuers = append(rules.Issuers, issuer)
	}
	return strings.Join(urls, "\n"), token.NewVerifier(rules), nil
}

func (a *App) answerIssuer(url, ref string) (*token.Issuer, error) {
	if known := a.issuers[url]; known != nil {
		return known.trusted, nil
	}
	block := new(config.Issuer)
	if _, declared, ok := a.Issuer(ref); ok {
		block = declared
	}
	source, err := a.keySource(url, block)
	if err != nil {
		return nil, err
	}
	lists, err := a.statusLists(url, block, source)
	if err != nil {
		return nil, err
	}
	return &token.Issuer{
		URL: url, Keys: source, Algorithms: block.AcceptedAlgorithms(), Leeway: block.Leeway.Or(config.DefaultLeeway), Statuses: lists,
	}, nil
}

func (a *App) subjectIssuers(block *config.Exchange) []string {
	if len(block.SubjectIssuer) == 0 {
		return nil
	}
	return a.issuerURLs(block.SubjectIssuer)
}

// exchangeKey names the state of an exchange: all that shapes what it learns. A
// secret is not part of it, so that one that rotates costs no token.
func (a *App) exchangeKey(block *config.Exchange) (lease.Key, error) {
	shape := *block
	shape.Place = ""
	text, err := json.Marshal(shape)
	if err != nil {
		return lease.Key{}, fmt.Errorf("reading the exchange: %w", err)
	}
	parts := []string{"exchange", string(text), strings.Join(a.subjectIssuers(block), "\n")}
	if block.IsLocal() {
		return lease.KeyOf(parts...), nil
	}
	for _, leg := range block.Legs() {
		parts = append(parts, strings.Join(a.clients[leg.Client].Identity(), "\n"))
	}
	return lease.KeyOf(parts...), nil
}

// inline is what an exchange without a name is called.
const inline = "inline"

// Exchanger implements handlers.Services.
func (a *App) Exchanger(directive *config.TokenExchange) (*exchange.Exchanger, error) {
	if directive.Exchange == nil {
		return a.exchanges[directive.Name], nil
	}
	if directive.Exchange.Anonymous {
		a.warnAnonymous(inline, directive.Place)
	}
	exchanger, err := a.exchanger(inline, directive.Exchange)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at("token_exchange", directive.Place), err)
	}
	a.asks(inline, directive.Exchange)
	return exchanger, nil
}
