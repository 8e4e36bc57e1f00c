package gatehouse

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Minter mints the gateway's own tokens; nil where the configuration has no sign.
func (a *App) Minter() *signing.Minter {
	if a.ring == nil {
		return nil
	}
	return signing.NewMinter(a.ring, a.Sign.Issuer, nil).Veiled(a.veil)
}

// Subjects say how the gateway's own tokens name their callers.
func (a *App) Subjects() (exchange.Subjects, error) {
	subjects := exchange.Subjects{Form: exchange.SubjectForm(a.Sign.SubjectForm()), Many: a.TrustsMany}
	if subjects.Form != exchange.SubjectPairwise {
		return subjects, nil
	}
	// The first secret: the other one is on its way in or out.
	var err error
	subjects.Key, err = hkdf.Key(sha256.New, []byte(a.Seal.Reveal()[0]), nil, "gatehouse pairwise subjects", sha256.Size)
	if err != nil {
		return subjects, fmt.Errorf("deriving the key of pairwise subjects: %w", err)
	}
	return subjects, nil
}

// local is what an exchange with grant local mints.
func (a *App) local(block *config.Exchange) (*exchange.Local, error) {
	subjects, err := a.Subjects()
	if err != nil {
		return nil, err
	}
	origin := a.originOf()
	local := &exchange.Local{
		Minter: a.Minter(), Type: signing.Purpose(block.Type), Lifetime: block.Lifetime.Or(0),
		Subjects: subjects, Impersonate: block.Impersonates(),
		Origin: func(caller *token.Token) []byte { return origin(caller, nil) },
	}
	for _, claim := range block.Claims {
		local.Claims = append(local.Claims, exchange.CopiedClaim(claim))
	}
	return local, nil
}
