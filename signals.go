package gatehouse

import (
	"fmt"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
)

// Receiver implements handlers.Services.
func (a *App) Receiver(directive *config.TokenEvents) (*signal.Receiver, error) {
	settings := signal.Config{Revoker: a.revoked, Marks: a.store}
	for _, ref := range directive.BackchannelLogout {
		for _, url := range a.issuerURLs([]string{ref}) {
			source := a.speaker(url)
			source.Keys, source.Audience = a.issuers[url].source, a.ClientIDs(ref)
			settings.Providers = append(settings.Providers, source)
		}
	}
	for _, line := range directive.SharedSignals {
		url := a.issuerURLs([]string{line.Transmitter})[0]
		found, err := a.transmitterKeys(url)
		if err != nil {
			return nil, fmt.Errorf("%s: shared_signals: %s: %w", directive.Label(), line.Transmitter, err)
		}
		source := a.speaker(url)
		source.Keys, source.Audience = found, []string{line.Audience}
		settings.Transmitters = append(settings.Transmitters, source)
	}
	a.listens(directive, &settings)
	return signal.NewReceiver(settings)
}

// listens notes to whom a token_events listens.
func (a *App) listens(directive *config.TokenEvents, settings *signal.Config) {
	listener := admin.Listener{Place: directive.Place}
	for _, source := range settings.Providers {
		listener.Providers = append(listener.Providers, source.URL)
	}
	for _, source := range settings.Transmitters {
		listener.Transmitters = append(listener.Transmitters, source.URL)
	}
	a.observed.listeners = append(a.observed.listeners, listener)
}

// speaker is an issuer that is listened to, by what its block says. A URL without a
// block has the defaults.
func (a *App) speaker(url string) *signal.Source {
	block := a.blockOf(url)
	source := &signal.Source{
		URL: url, Leeway: block.Leeway.Or(config.DefaultLeeway), NamesByEmail: block.ClaimPaths().Subject == "email",
	}
	if known := a.issuers[url]; known != nil {
		source.MaxAge = a.maxAge(known.trusted.MaxAge)
	}
	for _, alg := range block.AcceptedAlgorithms() {
		if slices.Contains(jose.Asymmetric(), alg) {
			source.Algorithms = append(source.Algorithms, alg)
		}
	}
	return source
}

func (a *App) blockOf(url string) *config.Issuer {
	if _, block, ok := a.Gatehouse.Issuer(url); ok {
		return block
	}
	return new(config.Issuer)
}

// transmitterKeys are the keys of a transmitter: those of its issuer block, where that
// says where they are, else those that its own metadata names.
func (a *App) transmitterKeys(url string) (*keys.Source, error) {
	block := a.blockOf(url)
	if block.JWKS != "" {
		return a.issuers[url].source, nil
	}
	if known := a.transmitters[url]; known != nil {
		return known, nil
	}
	bundles, err := readBundles(block.TrustCA)
	if err != nil {
		return nil, err
	}
	timeout := block.FetchTimeout.Or(config.DefaultFetchTimeout)
	server, err := authserver.NewServer(authserver.ServerOptions{
		Issuer: url, Transmitter: true, TrustCA: bundles, Timeout: timeout,
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, server.Close)
	name := "transmitter " + url
	source := keys.NewSource(keys.Config{
		Issuer: name, State: a.leaseKeys(append([]string{"transmitter", url}, block.TrustCA...)...), Fetcher: server, Log: a.log,
		FetchTimeout: 2 * timeout, // metadata, then the key set
		Refresh:      block.JWKSRefresh.Or(0),
		MaxStale:     block.JWKSMaxStale.Or(keys.DefaultMaxStale),
		Observe:      func(refresh keys.Refresh) { a.metrics.KeySetRefreshed(name, refresh.Err) },
		Refused:      func() { a.metrics.KeyLookupRefused(name) },
	})
	a.transmitters[url] = source
	a.sources = append(a.sources, source)
	a.observed.sources = append(a.observed.sources, observedSource{url: url, role: admin.RoleTransmitter, source: source, server: server})
	return source, nil
}
