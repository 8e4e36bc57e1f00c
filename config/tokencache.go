package config

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Defaults of the cache of verified tokens.
const (
	// DefaultTokenCacheEntries is how many tokens are remembered.
	DefaultTokenCacheEntries = 100_000
	// DefaultTokenCacheBytes is how many bytes they may take together.
	DefaultTokenCacheBytes = 64 << 20
)

// TokenCache bounds how many verified tokens are remembered, so that a token
// that comes again costs no cryptography. Every other check runs on every
// request.
type TokenCache struct {
	// How many tokens are remembered. Default: 100000.
	Entries Count `json:"entries,omitempty"`

	// How many bytes they may take together, such as `64MiB`. Default: 64MiB.
	Bytes Size `json:"bytes,omitempty"`

	// Where the Caddyfile has this line, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Limits returns the bounds. A nil TokenCache has the defaults.
func (c *TokenCache) Limits() (entries int, bytes int64) {
	if c == nil {
		return DefaultTokenCacheEntries, DefaultTokenCacheBytes
	}
	return c.Entries.Or(DefaultTokenCacheEntries), c.Bytes.Or(DefaultTokenCacheBytes)
}

// read reads the line. Syntax:
//
//	token_cache <entries> <bytes>
func (c *TokenCache) read(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return errors.New("two values are needed: write token_cache <entries> <bytes>")
	}
	c.Entries, c.Bytes = Count(args[0]), Size(args[1])
	if args[0] == "" || args[1] == "" {
		return errEmpty
	}
	return checkWritten(c.settings())
}

func (c *TokenCache) options() []option { return nil }

func (c *TokenCache) settings() []setting {
	return slices.Concat(
		one("entries", (*string)(&c.Entries), checkCount),
		one("bytes", (*string)(&c.Bytes), checkSize),
	)
}

func (c *TokenCache) contradiction() error { return nil }

func (c *TokenCache) missing() error { return nil }

func (c *TokenCache) links(*Gatehouse) error { return nil }
