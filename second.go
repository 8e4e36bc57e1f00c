package gatehouse

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// purposeExchanged is what the store keeps exchanged tokens under.
const purposeExchanged store.Purpose = "exchanged"

// provisionSecond makes the memory of exchanged tokens that nodes share, where their
// store is one and they have a secret that it has not.
func (a *App) provisionSecond() error {
	seals := a.Seal.Reveal()
	if !store.IsShared(a.store) || len(seals) == 0 {
		return nil
	}
	// The first secret: while they rotate, nodes that seal with different ones find
	// nothing of each other.
	key, err := hkdf.Key(sha256.New, []byte(seals[0]), nil, "gatehouse names of exchanged tokens", sha256.Size)
	if err != nil {
		return fmt.Errorf("deriving the key of exchanged tokens: %w", err)
	}
	a.second = exchange.NewSecondLevel(secondValues{a.store}, key)
	return nil
}

// unreadable is a store that counts what it holds and cannot read.
type unreadable interface {
	Unreadable() (values, records uint64)
}

// publishStore puts what the store cannot read among the metrics, if it counts it.
func (a *App) publishStore() error {
	if counts, ok := a.store.(unreadable); ok {
		return a.metrics.WatchStore(counts.Unreadable)
	}
	return nil
}

// sharing says how an exchange uses that memory. All that shapes it is in its key, so
// that nodes which are configured differently share nothing.
func (a *App) sharing(label string, key lease.Key) exchange.Sharing {
	if a.second == nil {
		return exchange.Sharing{}
	}
	return exchange.Sharing{Level: a.second, Exchange: key[:], Count: func(outcome exchange.SharedOutcome) {
		a.metrics.SharedExchange(label, string(outcome))
	}}
}

// secondValues are the values of a store that are exchanged tokens.
type secondValues struct{ values store.Values }

// Get implements exchange.Second.
func (s secondValues) Get(ctx context.Context, name string) ([]byte, bool, error) {
	return s.values.Get(ctx, purposeExchanged, name)
}

// Put implements exchange.Second.
func (s secondValues) Put(ctx context.Context, name string, value []byte, until time.Time) error {
	return s.values.Put(ctx, purposeExchanged, name, value, until)
}

// Delete implements exchange.Second.
func (s secondValues) Delete(ctx context.Context, name string) error {
	return s.values.Delete(ctx, purposeExchanged, name)
}
