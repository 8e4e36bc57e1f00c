package gatehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
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
	secrets := a.Seal.Reveal()
	held := signingStates.Acquire(lease.KeyOf(append([]string{a.Sign.Issuer}, secrets...)...), signing.NewState, nil)
	a.releases = append(a.releases, held.Release)
	ring, err := signing.NewRing(signing.Config{
		Issuer: a.Sign.Issuer, Algorithm: a.Sign.SignAlgorithm(),
		State: held.Value, Storage: storage, Seal: secrets, Open: files, Log: a.log,
		Timing: signing.Timing{
			Rotate:  a.Sign.Rotate.Or(config.DefaultRotate),
			Overlap: a.Sign.Overlap.Or(config.DefaultOverlap),
		},
		Rotated: a.rotated,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", at("sign", a.Sign.Place), err)
	}
	a.ring = ring
	return nil
}

// errNoSeal refuses to put private keys where others may read them.
var errNoSeal = errors.New("seal is missing: Caddy's storage is not the file system, so private keys must not lie there in the open: write seal <secret>")

// rotated tells of a key that signs in the place of another.
func (a *App) rotated(rotation signing.Rotation) {
	a.emitter.emit(eventRotated, map[string]any{
		"issuer": a.Sign.Issuer, "purpose": string(rotation.Purpose), "kid": rotation.Kid, "previous": rotation.Previous,
	})
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
