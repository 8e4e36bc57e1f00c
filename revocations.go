package gatehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// stores and revocations outlive configurations; see lease.Pool. What was used once
// before a reload must not be good again after it, and no request waits for a list
// that was there already.
var (
	stores      = lease.NewPool[store.Store]()
	revocations = lease.NewPool[*revocation.State]()
)

// leaseStore makes the store, without opening it, and the list that follows its log.
func (a *App) leaseStore() {
	key := lease.KeyOf("memory")
	held := stores.Acquire(key, func() store.Store { return store.NewMemory(0) }, func(s store.Store) { _ = s.Close() })
	list := revocations.Acquire(key, func() *revocation.State { return revocation.NewState(held.Value) }, nil)
	a.releases = append(a.releases, list.Release, held.Release)
	a.store, a.revoked = held.Value, list.Value
}

// startStore opens the store and begins to follow its log.
func (a *App) startStore(ctx context.Context) error {
	if err := a.store.Open(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	a.running.Go(func() { a.revoked.Follow(ctx, a.log) })
	return nil
}

// guarded puts the list behind a verifier.
func (a *App) guarded(verifier revocation.Verifier) *revocation.Guard {
	return revocation.NewGuard(verifier, a.revoked, a.bound())
}

// bound is what the configuration says of a list that may lack something.
func (a *App) bound() revocation.Bound {
	return revocation.Bound{MaxStaleness: 30 * time.Second}
}

// Revocations implements admin.Operated.
func (a *App) Revocations() *revocation.State { return a.revoked }

var _ admin.Operated = (*App)(nil)
