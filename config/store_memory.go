package config

import (
	"errors"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/store"
)

func init() { caddy.RegisterModule((*StoreMemory)(nil)) }

// StoreMemory is the store `memory`: of one node, in its memory and in a file.
type StoreMemory struct {
	// The directory for its files. No other process may use it. Default: `gatehouse` in
	// Caddy's data directory.
	Path string `json:"path,omitempty"`

	// Where the Caddyfile has this line, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StoreMemory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storesNamespace + storeMemory, New: func() caddy.Module { return new(StoreMemory) }}
}

// UnmarshalCaddyfile reads the rest of the line. Syntax:
//
//	memory [<path>]
func (s *StoreMemory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const label = "store memory"
	s.Place = place(d)
	if d.NextArg() {
		if d.Val() == "" {
			return locate(d, label, errEmpty)
		}
		s.Path = d.Val()
	}
	if d.NextArg() {
		return locate(d, label, errTooMany(d))
	}
	if opensBlock(d) {
		return locate(d, label, errors.New("it takes no block: write store memory [<path>]"))
	}
	if err := checkLine(s); err != nil {
		return locate(d, label, err)
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (s *StoreMemory) Provision(caddy.Context) error {
	label := at("store memory", s.Place)
	if err := expandBlock(caddy.NewReplacer(), label, s); err != nil {
		return err
	}
	if err := checkBlock(label, s); err != nil {
		return err
	}
	if s.Path == "" {
		s.Path = filepath.Join(caddy.AppDataDir(), "gatehouse")
	}
	return nil
}

// Shape implements StoreModule.
func (s *StoreMemory) Shape() []string { return []string{storeMemory, s.Path} }

// NewStore implements StoreModule.
func (s *StoreMemory) NewStore(StoreSetup) (store.Store, error) {
	return store.NewPersistent(store.MemoryConfig{Path: s.Path}), nil
}

func (s *StoreMemory) options() []option { return nil }

func (s *StoreMemory) settings() []setting { return one("path", &s.Path, checkText) }

func (s *StoreMemory) contradiction() error { return nil }

func (s *StoreMemory) missing() error { return nil }

// Interface guards.
var (
	_ caddy.Provisioner     = (*StoreMemory)(nil)
	_ caddyfile.Unmarshaler = (*StoreMemory)(nil)
	_ StoreModule           = (*StoreMemory)(nil)
)
