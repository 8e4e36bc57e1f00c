package devidp

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/dev/devidp/provider"
)

// states holds the state of each provider while any configuration uses it.
var states = caddy.NewUsagePool()

// stateKey says which configurations share a state: those whose tokens look the
// same from outside. A new client or user must not cost the keys.
type stateKey struct{ issuer, algorithm string }

// pooled makes a State something a UsagePool can hold.
type pooled struct{ *provider.State }

// Destruct implements caddy.Destructor. A state is memory only.
func (pooled) Destruct() error { return nil }

// lease is one configuration's hold on a state. The zero value holds nothing.
type lease struct {
	key  stateKey
	held bool
}

func (l *lease) acquire(s provider.Settings) *provider.State {
	l.key = stateKey{s.Issuer, s.Algorithm}
	if l.key.algorithm == "" {
		l.key.algorithm = provider.DefaultAlgorithm
	}
	fresh := pooled{provider.NewState(s.Algorithm)}
	value, _ := states.LoadOrStore(l.key, fresh)
	l.held = true
	state, ok := value.(pooled)
	if !ok {
		return fresh.State
	}
	return state.State
}

// release lets go at most once: Cleanup also runs after a failed Provision.
func (l *lease) release() error {
	if !l.held {
		return nil
	}
	l.held = false
	_, err := states.Delete(l.key)
	return err
}
