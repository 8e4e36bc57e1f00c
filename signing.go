package gatehouse

import (
	"fmt"

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
	held := signingStates.Acquire(lease.KeyOf(append([]string{"signing", a.Sign.Issuer}, a.Seal.Reveal()...)...), signing.NewState, nil)
	a.releases = append(a.releases, held.Release)
	a.ring = signing.NewRing(signing.Config{
		Issuer: a.Sign.Issuer, Algorithm: a.Sign.SignAlgorithm(), State: held.Value, Log: a.log,
		Timing: signing.Timing{
			Rotate:  a.Sign.Rotate.Or(config.DefaultRotate),
			Overlap: a.Sign.Overlap.Or(config.DefaultOverlap),
		},
	})
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
