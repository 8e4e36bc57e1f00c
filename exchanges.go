package gatehouse

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
)

// exchangeStates and guards outlive configurations; see lease.Pool. A reload does
// not heal a server that is down.
var (
	exchangeStates = lease.NewPool[*exchange.State]()
	guards         = lease.NewPool[*authserver.Guard]()
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
		exchanger, err := a.exchanger(block)
		if err != nil {
			return fmt.Errorf("%s: %w", at("exchange "+name, block.Place), err)
		}
		a.exchanges[name] = exchanger
	}
	return nil
}

func (a *App) client(block *config.Client) (*authserver.Client, error) {
	bundles, err := readAll(block.TrustCA)
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
	options.Log, options.Guard = a.log, a.guard(block)
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
	bundles, err := readAll(block.TrustCA)
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

// exchanger makes one exchange. Its state is shared with earlier and later
// configurations that say the same.
func (a *App) exchanger(block *config.Exchange) (*exchange.Exchanger, error) {
	key, err := a.exchangeKey(block)
	if err != nil {
		return nil, err
	}
	entries := block.CacheEntries.Or(config.DefaultCacheEntries)
	held := exchangeStates.Acquire(key, func() *exchange.State {
		return exchange.NewState(entries, exchange.DefaultCacheBytes)
	}, (*exchange.State).Close)
	a.releases = append(a.releases, held.Release)
	_, scheme := block.Inject.Target()
	return exchange.New(exchange.Config{
		Scheme: scheme,
		Client: a.clients[block.Client], State: held.Value,
		SubjectIssuers: a.subjectIssuers(block),
		Audience:       block.Audience, Resource: block.Resource, Scope: block.Scope,
		MaxTTL: block.MaxTTL.Or(config.DefaultMaxTTL),
	})
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
	identity := strings.Join(a.clients[block.Client].Identity(), "\n")
	return lease.KeyOf("exchange", string(text), identity, strings.Join(a.subjectIssuers(block), "\n")), nil
}

// Exchanger implements handlers.Services.
func (a *App) Exchanger(directive *config.TokenExchange) (*exchange.Exchanger, error) {
	if directive.Exchange == nil {
		return a.exchanges[directive.Name], nil
	}
	exchanger, err := a.exchanger(directive.Exchange)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at("token_exchange", directive.Place), err)
	}
	return exchanger, nil
}
