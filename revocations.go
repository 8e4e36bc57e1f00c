package gatehouse

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// stores and revocations outlive configurations; see lease.Pool. What was used once
// before a reload must not be good again after it, and no request waits for a list
// that was there already.
var (
	stores      = lease.NewPool[store.Store]()
	revocations = lease.NewPool[*revocation.State]()
)

// provisionStore makes the store that the configuration names, without opening it, and
// the list that follows its log.
func (a *App) provisionStore(ctx caddy.Context) error {
	module, err := a.LoadStore(ctx)
	if err != nil {
		return err
	}
	// The store outlives this configuration, so it writes to the log of the process.
	made, err := module.NewStore(config.StoreSetup{Seals: a.Seal.Reveal(), Log: logger(caddy.Log().Core(), "gatehouse.store")})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	a.observed.store = module.CaddyModule().ID.Name()
	key := lease.KeyOf(a.StoreShape(module)...)
	held := stores.Acquire(key, func() store.Store { return made }, func(s store.Store) { _ = s.Close() })
	fresh := revocation.NewState(held.Value)
	list := revocations.Acquire(key, func() *revocation.State { return fresh }, nil)
	a.releases = append(a.releases, list.Release, held.Release)
	a.store, a.revoked, a.place = held.Value, list.Value, lease.KeyOf(a.StorePlace(module)...)
	if before := followed.Load(); before != nil && a.revoked == fresh {
		a.releases = append(a.releases, fresh.Succeed(before.list, before.place == a.place))
	}
	return nil
}

// followed is the list of the configuration that was started last, and where its log
// is. The next one goes on from it.
var followed atomic.Pointer[follower]

type follower struct {
	list  *revocation.State
	place lease.Key
}

// loadPatience is how long a start may wait for the list, so that the first requests
// need not be refused. Without the list Caddy starts all the same.
const loadPatience = 3 * time.Second

// startStore opens the store, reads the list and begins to follow its log.
func (a *App) startStore(ctx context.Context) error {
	if err := a.store.Open(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	cancel := a.revoked.Subscribe(a.toldOfRevocations)
	loading, loaded := context.WithTimeout(ctx, loadPatience)
	_ = a.revoked.Load(loading, a.log) // what is wrong the follower says
	loaded()
	followed.Store(&follower{a.revoked, a.place})
	a.running.Go(func() { a.derived.clearRevoked(ctx, a.log) })
	a.running.Go(func() {
		defer cancel()
		a.revoked.Follow(ctx, a.log)
	})
	return nil
}

// toldOfRevocations tells operators of what came in, wherever it was revoked. What
// the node learned as it started they know already.
func (a *App) toldOfRevocations(batch *revocation.Batch) {
	if batch.Loading {
		return
	}
	for _, event := range batch.Events {
		if !batch.Local {
			a.metrics.RevocationArrived(time.Since(event.At))
			a.log.Debug("another node revoked", "revocation", event.ID, "kind", string(event.Kind), "issuer", event.Issuer,
				"reason", event.Reason, "by", event.By)
		}
		a.emitter.emit(eventRevoked, map[string]any{
			"id": event.ID, "kind": string(event.Kind), "issuer": event.Issuer, "reason": event.Reason, "by": event.By,
		})
	}
}

// publishRevocations puts the list among the metrics.
func (a *App) publishRevocations() error {
	return a.metrics.WatchRevocations(a.revoked, func() iter.Seq2[string, int] {
		return func(yield func(string, int) bool) {
			for kind, count := range a.revoked.List().Counts() {
				if !yield(string(kind), count) {
					return
				}
			}
		}
	})
}

// Watch implements handlers.Services.
func (a *App) Watch(held *token.Token, end func()) (stop func()) {
	ofList := a.revoked.Watch(held, end)
	known := a.issuers[held.Issuer]
	if held.Status.IsZero() || known == nil {
		return ofList
	}
	ofStatus := known.lists.Watch(held.Status, end)
	return func() {
		ofList()
		ofStatus()
	}
}

// guarded puts the list behind a verifier.
func (a *App) guarded(verifier revocation.Verifier) *revocation.Guard {
	return revocation.NewGuard(verifier, a.revoked, a.bound())
}

// bound is what the configuration says of a list that may lack something.
func (a *App) bound() revocation.Bound {
	longest, open := a.Revocation.Staleness()
	return revocation.Bound{MaxStaleness: longest, Open: open}
}

// Revocations implements admin.Operated.
func (a *App) Revocations() *revocation.State { return a.revoked }

var _ admin.Operated = (*App)(nil)
