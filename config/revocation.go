package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// What happens while the list of what is revoked may be too old.
const (
	// StaleOpen goes on with the list as it is.
	StaleOpen = "open"
	// StaleClosed answers 503.
	StaleClosed = "closed"
)

// Bounds of how old the list may be.
const (
	// DefaultMaxStaleness is the age that is allowed.
	DefaultMaxStaleness = 30 * time.Second
	minStaleness        = time.Second
	maxStaleness        = time.Hour
)

// Revocation says how old the list of revoked tokens may be. Every node holds the list
// and follows the store; what it does not hear of while the store is away, it does not
// refuse.
type Revocation struct {
	// How long ago a node may have heard from the store last, from 1s to 1h. Default:
	// 30s.
	MaxStaleness Duration `json:"max_staleness,omitempty"`

	// What happens beyond: `closed` answers 503 to requests with a token until the list
	// is fresh again; `open` goes on with the list as it is, and accepts tokens that were
	// revoked since. Default: `closed`.
	WhenStale string `json:"when_stale,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Staleness returns the bound, and whether requests go on beyond it. A nil Revocation
// has the defaults.
func (r *Revocation) Staleness() (bound time.Duration, open bool) {
	if r == nil {
		return DefaultMaxStaleness, false
	}
	return r.MaxStaleness.Or(DefaultMaxStaleness), r.WhenStale == StaleOpen
}

// readRevocation reads the block. Syntax:
//
//	revocation {
//		max_staleness <duration> open | closed
//	}
func (g *Gatehouse) readRevocation(d *caddyfile.Dispenser) error {
	if g.Revocation != nil {
		return fmt.Errorf("it is written already at %s: keep one block", g.Revocation.Place)
	}
	revocation := &Revocation{Place: place(d)}
	if d.NextArg() {
		return errTooMany(d)
	}
	if !opensBlock(d) {
		return errors.New("it needs a block in braces: write max_staleness <duration> closed, or open, in it")
	}
	if err := readBlock(d, "revocation", revocation); err != nil {
		return err
	}
	g.Revocation = revocation
	return nil
}

func (r *Revocation) options() []option {
	return []option{{word: "max_staleness", read: r.readMaxStaleness}}
}

func (r *Revocation) readMaxStaleness(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 { //nolint:mnd // the two of the message
		return errors.New("two values are needed: write max_staleness <duration> closed, or open")
	}
	if args[0] == "" || args[1] == "" {
		return errEmpty
	}
	r.MaxStaleness, r.WhenStale = Duration(args[0]), args[1]
	return nil
}

func (r *Revocation) settings() []setting {
	return append(one("max_staleness", (*string)(&r.MaxStaleness), checkStaleness),
		one("max_staleness", &r.WhenStale, checkOneOf("word", StaleOpen, StaleClosed))...)
}

func (r *Revocation) contradiction() error { return nil }

func (r *Revocation) missing() error { return nil }

func (r *Revocation) links(*Gatehouse) error { return nil }

func checkStaleness(text string) error {
	value, err := parseDuration(text)
	if err == nil && (value < minStaleness || value > maxStaleness) {
		err = fmt.Errorf("%s is not between 1s and 1h", text)
	}
	return err
}
