package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	storesNamespace = "gatehouse.stores."
	storeMemory     = "memory"
	storeRedis      = "redis"
	storeSyntax     = "store memory [<path>], store redis <url...>, or another module of gatehouse.stores"
)

// A StoreModule is a module of the namespace gatehouse.stores: it holds what nodes
// remember together, or the way there. To be written in a Caddyfile it implements
// caddyfile.Unmarshaler. Provisioning it connects nowhere and writes nothing.
type StoreModule interface {
	caddy.Module

	// Shape are the settings that shape the store, its module's name first.
	// Configurations whose stores are of one shape and seal share one store across
	// reloads.
	Shape() []string

	// NewStore makes the store. It connects nowhere, opens no file and starts nothing:
	// the store's Open does.
	NewStore(setup StoreSetup) (store.Store, error)
}

// StoreSetup is what the gateway gives to a new store.
type StoreSetup struct {
	// Seals are the secrets of `seal`, the one that seals first; none without it.
	Seals []string
	// Log is told what operators should know. It outlives the configuration.
	Log *slog.Logger
	// Unreadable, if it is set, is called for what the store holds and cannot read: a
	// value, which counts as one that is not there, or the record of a log, whose
	// content nobody knows here. It outlives the configuration.
	Unreadable func(purpose store.Purpose, record bool)
}

// LoadStore loads the module of `store`, the one in memory where none is written.
func (g *Gatehouse) LoadStore(ctx caddy.Context) (StoreModule, error) {
	if g.StoreRaw == nil {
		memory := new(StoreMemory)
		if err := memory.Provision(ctx); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		return memory, nil
	}
	loaded, err := ctx.LoadModule(g, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	module, ok := loaded.(StoreModule)
	if !ok {
		return nil, fmt.Errorf("%s: the module gives no store", g.storeLabel())
	}
	return module, nil
}

// StoreShape is what one store is known by across reloads: its own settings and,
// unless it is the one in memory, which seals nothing, the secrets of `seal`. A store
// of one node is not opened a second time because its operator rotates a secret.
func (g *Gatehouse) StoreShape(module StoreModule) []string {
	if _, ok := module.(*StoreMemory); ok {
		return module.Shape()
	}
	return append(module.Shape(), g.Seal.Reveal()...)
}

// StorePlace is where a store keeps what it keeps: two stores at one place have one log,
// whatever else their settings say.
func (g *Gatehouse) StorePlace(module StoreModule) []string {
	if servers, ok := module.(*StoreRedis); ok {
		return append([]string{storeRedis, servers.Prefix, servers.Sentinel}, slices.Sorted(slices.Values(servers.URLs))...)
	}
	return module.Shape()
}

// readStore reads one line and its block. Syntax:
//
//	store <module> ...
func (g *Gatehouse) readStore(d *caddyfile.Dispenser) error {
	if g.StoreRaw != nil {
		return fmt.Errorf("it is written already as %s: a gateway has one store", g.storeLabel())
	}
	if !d.NextArg() {
		return errors.New("the module is missing: write " + storeSyntax)
	}
	name := d.Val()
	if err := checkName(name); err != nil {
		return fmt.Errorf("%w: write %s", err, storeSyntax)
	}
	if known := storeModules(); !slices.Contains(known, name) {
		return unknown("store", name, known)
	}
	if emptyBlock(d) {
		return errEmptyBlock
	}
	loaded, err := caddyfile.UnmarshalModule(d, storesNamespace+name)
	if err != nil {
		return located{err}
	}
	if _, ok := loaded.(StoreModule); !ok {
		return fmt.Errorf("module %s%s gives no store", storesNamespace, name)
	}
	g.StoreRaw = caddyconfig.JSONModuleObject(loaded, "module", name, nil)
	return nil
}

// storeModules are the names of the stores that this Caddy was built with.
func storeModules() []string {
	modules := caddy.GetModules(strings.TrimSuffix(storesNamespace, "."))
	names := make([]string, 0, len(modules))
	for _, module := range modules {
		names = append(names, module.ID.Name())
	}
	slices.Sort(names)
	return names
}

// emptyBlock tells whether braces with nothing in them stand at the end of the line. A
// module is not shown them.
func emptyBlock(d *caddyfile.Dispenser) bool {
	ahead := *d
	ahead.RemainingArgs()
	nesting := ahead.Nesting()
	return opensBlock(&ahead) && !ahead.NextBlock(nesting)
}

// storeHead is what is known of a store's module before it is loaded.
type storeHead struct {
	Module string `json:"module"`
	Place  string `json:"place"`
}

func (g *Gatehouse) storeHead() (head storeHead, err error) {
	err = json.Unmarshal(g.StoreRaw, &head)
	return head, err
}

func (g *Gatehouse) storeLabel() string {
	head, err := g.storeHead()
	if err != nil {
		return "store"
	}
	return at("store "+head.Module, head.Place)
}

// storeLinks checks what a store needs of the rest.
func (g *Gatehouse) storeLinks() error {
	if g.StoreRaw == nil {
		return nil
	}
	head, err := g.storeHead()
	switch {
	case err != nil || head.Module == "":
		return errors.New("store: the module is missing: write an object with a module, or leave the name out")
	case head.Module == storeRedis && g.Seal == nil:
		return fmt.Errorf("%s: what it writes to Redis is sealed, and the secret is missing: write seal <secret> in the global option gatehouse",
			g.storeLabel())
	}
	return nil
}
