// Package lease keeps state across configuration reloads. Caddy starts a new
// configuration before it stops the old one, so what both want is handed over,
// and goes when the last configuration lets go.
package lease

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/caddyserver/caddy/v2"
)

// A Pool holds values of one kind by a key that names every setting that shapes
// their content.
type Pool[V any] struct {
	pool *caddy.UsagePool
}

// NewPool makes a pool. It belongs in a package variable.
func NewPool[V any]() *Pool[V] { return &Pool[V]{pool: caddy.NewUsagePool()} }

// A Lease is one configuration's hold on a pooled value.
type Lease[V any] struct {
	Value V

	pool *caddy.UsagePool
	key  Key
}

// pooled lets the pool destruct a value through the function it came with.
type pooled[V any] struct {
	value V
	close func(V)
}

// Destruct implements caddy.Destructor.
func (p *pooled[V]) Destruct() error {
	if p.close != nil {
		p.close(p.value)
	}
	return nil
}

// Acquire returns the value of that key, made by create if there is none. create
// must do no work that can fail or block: it may run for a configuration that is
// then refused, and a value that lost a race is closed at once.
func (p *Pool[V]) Acquire(key Key, create func() V, closeValue func(V)) *Lease[V] {
	// LoadOrStore and not LoadOrNew: a failing constructor of the latter can
	// deadlock with Range.
	fresh := &pooled[V]{value: create(), close: closeValue}
	stored, loaded := p.pool.LoadOrStore(key, fresh)
	held, ok := stored.(*pooled[V])
	if !ok {
		held = fresh
	}
	if loaded && held != fresh {
		_ = fresh.Destruct()
	}
	return &Lease[V]{Value: held.value, pool: p.pool, key: key}
}

// Release lets go, once; a second call does nothing. Cleanup runs for
// configurations that failed half-way too, so that only what was acquired may be
// released.
func (l *Lease[V]) Release() {
	if l == nil || l.pool == nil {
		return
	}
	pool := l.pool
	l.pool = nil
	_, _ = pool.Delete(l.key)
}

// A Key names a pooled value.
type Key [sha256.Size]byte

// KeyOf makes a key of parts. Each is preceded by its length, so that no two
// lists of parts make the same key.
func KeyOf(parts ...string) Key {
	hash := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		_, _ = io.WriteString(hash, part)
	}
	return Key(hash.Sum(nil))
}
