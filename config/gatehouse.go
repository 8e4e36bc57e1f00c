package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Gatehouse is the configuration of the gatehouse app: the single source of
// truth for token policy. Sites use what is named here.
//
// Every text but names takes the placeholders `{env.*}` and `{file.*}`, which are
// replaced once, when the configuration is loaded. A placeholder that is unknown
// or empty is an error. Those of a request belong in the values of `claim` rules
// and in expressions.
type Gatehouse struct {
	// The authorization servers whose tokens are trusted, and those that are only
	// called, by name. Names hold none of `/`, `*`, `@`, braces, quotes and blanks.
	// No two issuers have a URL in common, or a `jwks` URL. Default: none.
	Issuers map[string]*Issuer `json:"issuers,omitempty"`

	// How the gateway proves itself to authorization servers, by name. Default:
	// none.
	Clients map[string]*Client `json:"clients,omitempty"`

	// What upstreams get instead of the caller's token, by name. Default: none.
	Exchanges map[string]*Exchange `json:"exchanges,omitempty"`

	// What tokens must hold, by name: the rules of `token_require`, for `policy`
	// rules anywhere. Policies must not use each other in a circle. Default: none.
	Policies map[string]*Policy `json:"policies,omitempty"`

	// How the gateway signs tokens of its own. Default: it signs none.
	Sign *Sign `json:"sign,omitempty"`

	// The secret that protects what the gateway stores. Required with `store redis`, and
	// with `sign`, unless Caddy's storage is the file system. Default: none.
	Seal *Seal `json:"seal,omitempty"`

	// What nodes remember together: `memory`, `redis`, or another module. Default:
	// `memory`, the store of a node alone.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=gatehouse.stores inline_key=module"`

	// How old the list of revoked tokens may be. Default: 30s, and 503 beyond.
	Revocation *Revocation `json:"revocation,omitempty"`

	// How many verified tokens are remembered. Default: 100000 tokens in 64MiB.
	TokenCache *TokenCache `json:"token_cache,omitempty"`
}

// UnmarshalCaddyfile reads the global option and adds it to what the receiver
// holds, so that a second block continues the first. Syntax:
//
//	gatehouse {
//		issuer <name> <url...> {
//			...
//		}
//		client <name> {
//			...
//		}
//		exchange <name> {
//			...
//		}
//		policy <name> {
//			...
//		}
//		sign {
//			...
//		}
//		seal <secret>
//		store <module> ...
//		revocation {
//			...
//		}
//		token_cache <entries> <bytes>
//	}
//
// seal may be written twice. The order of the blocks is free. A name that is declared twice is an error.
func (g *Gatehouse) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return locate(d, "", fmt.Errorf("gatehouse takes a block in braces and no value: %q", d.Val()))
	}
	if !opensBlock(d) {
		return locate(d, "", errors.New("gatehouse needs a block in braces"))
	}
	return readBlock(d, "", g)
}

func (g *Gatehouse) options() []option {
	return []option{
		{word: "issuer", read: g.readIssuer, repeat: true},
		{word: "client", read: g.readClient, repeat: true},
		{word: "exchange", read: g.readExchange, repeat: true},
		{word: "policy", read: g.readPolicy, repeat: true},
		{word: "sign", read: g.readSign},
		{word: "seal", read: g.readSeal, repeat: true},
		{word: "store", read: g.readStore},
		{word: "revocation", read: g.readRevocation},
		{word: "token_cache", read: g.readTokenCache},
	}
}

func (g *Gatehouse) settings() []setting { return nil }

// contradiction finds what no block can see alone: two issuers with one URL.
func (g *Gatehouse) contradiction() error {
	owner := make(map[string]string)
	for _, name := range sorted(g.Issuers) {
		for _, url := range g.Issuers[name].URLs {
			if other, taken := owner[url]; taken && other != name {
				return fmt.Errorf("%s and %s both have the URL %s: a URL belongs to one block",
					g.Issuers[other].Label(other), g.Issuers[name].Label(name), url)
			}
			owner[url] = name
		}
	}
	return g.sharedKeys()
}

func (g *Gatehouse) missing() error { return nil }

func (g *Gatehouse) readIssuer(d *caddyfile.Dispenser) error {
	issuer := &Issuer{Place: place(d)}
	name, err := readName(d, "issuer <name> <url...>", g.issuerPlace)
	if err != nil {
		return err
	}
	issuer.URLs = d.RemainingArgs()
	if err := readBlock(d, "issuer "+name, issuer); err != nil {
		return err
	}
	g.Issuers = with(g.Issuers, name, issuer)
	return nil
}

func (g *Gatehouse) readClient(d *caddyfile.Dispenser) error {
	client := &Client{Place: place(d)}
	name, err := readName(d, "client <name>", g.clientPlace)
	if err != nil {
		return err
	}
	if err := readBlock(d, "client "+name, client); err != nil {
		return err
	}
	g.Clients = with(g.Clients, name, client)
	return nil
}

func (g *Gatehouse) readExchange(d *caddyfile.Dispenser) error {
	exchange := &Exchange{Place: place(d)}
	name, err := readName(d, "exchange <name>", g.exchangePlace)
	if err != nil {
		return err
	}
	if err := readBlock(d, "exchange "+name, exchange); err != nil {
		return err
	}
	g.Exchanges = with(g.Exchanges, name, exchange)
	return nil
}

func (g *Gatehouse) readPolicy(d *caddyfile.Dispenser) error {
	policy := &Policy{Place: place(d)}
	name, err := readName(d, "policy <name>", g.policyPlace)
	if err != nil {
		return err
	}
	if err := policy.read(d, name); err != nil {
		return err
	}
	g.Policies = with(g.Policies, name, policy)
	return nil
}

func (g *Gatehouse) readTokenCache(d *caddyfile.Dispenser) error {
	if g.TokenCache != nil {
		return fmt.Errorf("it is written already at %s: keep one line", g.TokenCache.Place)
	}
	cache := &TokenCache{Place: place(d)}
	if err := cache.read(d); err != nil {
		return err
	}
	g.TokenCache = cache
	return nil
}

// readName reads the name of a block and refuses one that is taken.
func readName(d *caddyfile.Dispenser, syntax string, taken func(string) (string, bool)) (string, error) {
	if !d.NextArg() {
		return "", fmt.Errorf("a name is missing: write %s", syntax)
	}
	name := d.Val()
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%w: write %s", err, syntax)
	}
	if where, ok := taken(name); ok {
		return "", fmt.Errorf("%s is declared already at %s", name, where)
	}
	return name, nil
}

func (g *Gatehouse) issuerPlace(name string) (string, bool) {
	issuer, ok := g.Issuers[name]
	if !ok {
		return "", false
	}
	return issuer.Place, true
}

func (g *Gatehouse) clientPlace(name string) (string, bool) {
	client, ok := g.Clients[name]
	if !ok {
		return "", false
	}
	return client.Place, true
}

func (g *Gatehouse) exchangePlace(name string) (string, bool) {
	exchange, ok := g.Exchanges[name]
	if !ok {
		return "", false
	}
	return exchange.Place, true
}

func (g *Gatehouse) policyPlace(name string) (string, bool) {
	policy, ok := g.Policies[name]
	if !ok {
		return "", false
	}
	return policy.Place, true
}

// with adds a block to those of its kind, which may be none yet.
func with[T any](blocks map[string]*T, name string, b *T) map[string]*T {
	if blocks == nil {
		blocks = make(map[string]*T)
	}
	blocks[name] = b
	return blocks
}

// sorted returns the names in a fixed order, so that the first error is always
// the same one.
func sorted[T any](blocks map[string]*T) []string {
	return slices.Sorted(maps.Keys(blocks))
}

// Issuer finds an issuer block by its name or by one of its URLs. It is false
// for a URL without a block, which is an inline issuer, and for an unknown name.
func (g *Gatehouse) Issuer(ref string) (name string, issuer *Issuer, ok bool) {
	if !isURL(ref) {
		issuer, ok = g.Issuers[ref]
		return ref, issuer, ok
	}
	for _, name := range sorted(g.Issuers) {
		if slices.Contains(g.Issuers[name].URLs, ref) {
			return name, g.Issuers[name], true
		}
	}
	return "", nil, false
}

// Expand replaces the placeholders of every block in place. Its errors name the
// block, its place and the option; they never show a secret.
func (g *Gatehouse) Expand(repl *caddy.Replacer) error {
	for _, b := range g.blocks() {
		if b.nothing {
			return errors.New(b.label + ": null: write an object, or leave the name out")
		}
		if err := expandBlock(repl, b.label, b.block); err != nil {
			return err
		}
	}
	return nil
}

// Check looks at every block and at what they say of each other. It is called
// after Expand. Its errors name the block, its place and the mend.
func (g *Gatehouse) Check() error {
	for _, b := range g.blocks() {
		if b.nothing {
			return errors.New(b.label + ": null: write an object, or leave the name out")
		}
		if err := checkName(b.name); err != nil {
			return fmt.Errorf("%s: %w", b.label, err)
		}
		if err := checkBlock(b.label, b.block); err != nil {
			return err
		}
	}
	if err := g.contradiction(); err != nil {
		return err
	}
	for _, b := range g.blocks() {
		if err := b.links(g); err != nil {
			return fmt.Errorf("%s: %w", b.label, err)
		}
	}
	if err := g.storeLinks(); err != nil {
		return err
	}
	return g.checkCircles()
}
