package gatehouse

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/proof"
)

// State of proofs that outlives configurations; see lease.Pool. A nonce that was
// offered before a reload must be good after it.
var (
	nonces = lease.NewPool[*proof.Nonces]()
	shares = lease.NewPool[*proof.Shares]()
)

// Sender implements handlers.Services.
func (a *App) Sender(directive *config.TokenAuth) (*proof.Sender, error) {
	label := at("token_auth", directive.Place)
	checked := proof.DPoPConfig{Marks: a.store, Shares: a.shares()}
	if directive.DPoPNonce {
		var err error
		if checked.Nonces, err = a.nonces(); err != nil {
			return nil, fmt.Errorf("%s: dpop_nonce: %w", label, err)
		}
	}
	dpop, err := proof.NewDPoP(checked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	sender, err := proof.NewSender(dpop, requiredKinds(directive))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return sender, nil
}

// requiredKinds are the ways in which a token must be bound at a token_auth.
func requiredKinds(directive *config.TokenAuth) proof.Kinds {
	return proof.Kinds{
		DPoP: slices.Contains(directive.SenderConstrained, config.BoundDPoP),
		MTLS: slices.Contains(directive.SenderConstrained, config.BoundMTLS),
	}
}

// shares are those of the marks, for all who check proofs.
func (a *App) shares() *proof.Shares {
	held := shares.Acquire(lease.KeyOf("shares"), func() *proof.Shares { return proof.NewShares(0, 0) }, nil)
	a.releases = append(a.releases, held.Release)
	return held.Value
}

// nonces are those of a process alone, or with a seal those of all nodes that have it:
// a client that got one of a node's may come to another one next.
func (a *App) nonces() (*proof.Nonces, error) {
	seals := a.Seal.Reveal()
	keys := make([][]byte, len(seals))
	for i, seal := range seals {
		key, err := hkdf.Key(sha256.New, []byte(seal), nil, "gatehouse DPoP nonces", sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("deriving the key of nonces: %w", err)
		}
		keys[i] = key
	}
	// Made here, because the pool's constructors must not fail; one that came too
	// late is dropped unused.
	fresh, err := proof.NewNonces(0, keys...)
	if err != nil {
		return nil, err
	}
	held := nonces.Acquire(lease.KeyOf(append([]string{"nonces"}, seals...)...), func() *proof.Nonces { return fresh }, nil)
	a.releases = append(a.releases, held.Release)
	return held.Value, nil
}
