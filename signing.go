package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/signing"
)

// signingStates outlive configurations; see lease.Pool. A gateway whose storage is
// down goes on signing after a reload.
var signingStates = lease.NewPool[*signing.State]()

// provisionSigning makes the ring of the gateway's own keys, if it has any. The
// keys themselves are read, or made, when the app starts.
func (a *App) provisionSigning() error {
	if a.Sign == nil {
		return nil
	}
	storage := a.ctx.Storage()
	_, files := storage.(*certmagic.FileStorage)
	if !files && a.Seal == nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), errNoSeal)
	}
	timing := a.signTiming()
	peers, err := a.peers(timing)
	if err != nil {
		return fmt.Errorf("%s: publish: %w", at("sign", a.Sign.Place), err)
	}
	counts, err := a.metrics.WatchSigning(a.signingStatus)
	if err != nil {
		return err
	}
	secrets := a.Seal.Reveal()
	if a.veil, err = signing.NewVeil(secrets); err != nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), err)
	}
	a.releases = append(a.releases, a.revoked.ReadOrigins(a.Sign.Issuer, a.veil.Origin))
	held := signingStates.Acquire(lease.KeyOf(append([]string{a.Sign.Issuer}, secrets...)...), signing.NewState, nil)
	a.releases = append(a.releases, held.Release)
	a.ring, err = signing.NewRing(signing.Config{
		Issuer: a.Sign.Issuer, Algorithm: a.Sign.SignAlgorithm(), Timing: timing,
		State: held.Value, Storage: storage, Seal: secrets, Open: files, Peers: peers,
		Rotated: a.rotated(counts), Failed: func(error) { counts.Failed() }, Log: a.log,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), err)
	}
	return nil
}

// signTiming is how long the gateway's own keys stay in their states.
func (a *App) signTiming() signing.Timing {
	return signing.Timing{Rotate: a.Sign.Rotate.Or(config.DefaultRotate), Overlap: a.Sign.Overlap.Or(config.DefaultOverlap)}
}

// peers are the key sets of other regions. They are fetched as often as this
// region's own is read, so that a new key of theirs is here before it signs.
func (a *App) peers(timing signing.Timing) ([]signing.Peer, error) {
	var peers []signing.Peer
	for _, url := range a.Sign.Publish {
		server, err := authserver.NewServer(authserver.ServerOptions{Issuer: url, JWKS: url, Timeout: config.DefaultFetchTimeout})
		if err != nil {
			return nil, err
		}
		a.releases = append(a.releases, server.Close)
		source := keys.NewSource(keys.Config{
			Issuer: url, State: a.leaseKeys("peer", url), Fetcher: signing.OwnKeys(server), Log: a.log,
			FetchTimeout: config.DefaultFetchTimeout, Refresh: max(time.Second, timing.Poll()), Observe: a.renewed,
		})
		a.regions = append(a.regions, source)
		a.observed.sources = append(a.observed.sources, observedSource{url: url, role: admin.RoleRegion, source: source, server: server})
		peers = append(peers, source)
	}
	return peers, nil
}

// signingStatus is how the ring fares, for metrics.
func (a *App) signingStatus() metrics.SigningStatus {
	status := a.ring.Status()
	ages := make(map[string]time.Duration, len(status.Ages))
	for purpose, age := range status.Ages {
		ages[string(purpose)] = age
	}
	return metrics.SigningStatus{Degraded: status.Degraded, Ages: ages}
}

// errNoSeal refuses to put private keys where others may read them.
var errNoSeal = errors.New("seal is missing: Caddy's storage is not the file system, so private keys must not lie there in the open: write seal <secret>")

// rotated tells of a key that signs in the place of another.
func (a *App) rotated(counts *metrics.Signing) func(signing.Rotation) {
	return func(rotation signing.Rotation) {
		counts.Rotated(string(rotation.Purpose))
		a.emitter.emit(eventRotated, map[string]any{
			"issuer": a.Sign.Issuer, "purpose": string(rotation.Purpose), "kid": rotation.Kid, "previous": rotation.Previous,
		})
	}
}

// startSigning reads the keys, or makes the first ones. Those who verify tokens
// need them as soon as Caddy answers.
func (a *App) startSigning(ctx context.Context) error {
	if a.ring == nil {
		return nil
	}
	if err := a.ring.Start(ctx); err != nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), err)
	}
	a.running.Go(func() { a.ring.Run(ctx) })
	for _, region := range a.regions {
		a.running.Go(func() { region.Run(ctx) })
	}
	return nil
}

// Ring implements handlers.Services.
func (a *App) Ring() *signing.Ring { return a.ring }

// distinguishes refuses an issuer more than the subjects of the gateway's own
// tokens can tell apart.
func (a *App) distinguishes() error {
	if err := a.Sign.Distinguishes(len(a.issuers)); err != nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), err)
	}
	return nil
}

// ownKeys are the gateway's own keys as those of an issuer that it trusts: tokens of
// its own are good at its door where a token_auth says so. They are read as often as
// the ring reads the storage: with a short overlap a new key would sign before it is
// known here, and while somebody invents kids it is not looked for.
func (a *App) ownKeys(url string) *keys.Source {
	return keys.NewSource(keys.Config{
		Issuer: url, State: a.leaseKeys("own", url), Fetcher: a.ring, Log: a.log,
		Refresh: min(10*time.Second, max(time.Second, a.signTiming().Poll())), Observe: a.renewed, Refused: func() { a.metrics.KeyLookupRefused(url) },
	})
}
