package config

import (
	"fmt"
	"slices"
	"strings"
)

// A named block is one entry of the global option, as messages speak of it.
type named struct {
	block
	name    string
	label   string                 // issuer main (Caddyfile:3)
	nothing bool                   // JSON null instead of an object
	links   func(*Gatehouse) error // checks the names of other blocks
}

// blocks returns every block of the global option in a fixed order.
func (g *Gatehouse) blocks() []named {
	all := slices.Concat(
		nameAll("issuer", g.Issuers, func(i *Issuer) string { return i.Place }),
		nameAll("client", g.Clients, func(c *Client) string { return c.Place }),
		nameAll("exchange", g.Exchanges, func(e *Exchange) string { return e.Place }),
		nameAll("policy", g.Policies, func(p *Policy) string { return p.Place }),
	)
	return slices.Concat(all,
		single("sign", g.Sign, func(s *Sign) string { return s.Place }),
		single("seal", g.Seal, func(s *Seal) string { return s.Place }),
		single("revocation", g.Revocation, func(r *Revocation) string { return r.Place }),
		single("token_cache", g.TokenCache, func(c *TokenCache) string { return c.Place }),
	)
}

// single is a block that is there once or not at all.
func single[T any, P linked[T]](word string, b *T, placeOf func(*T) string) []named {
	if b == nil {
		return nil
	}
	return []named{{block: P(b), name: word, label: at(word, placeOf(b)), links: P(b).links}}
}

// linked is a block that may name others.
type linked[T any] interface {
	*T
	block
	links(g *Gatehouse) error
}

func nameAll[T any, P linked[T]](kind string, blocks map[string]*T, placeOf func(*T) string) []named {
	all := make([]named, 0, len(blocks))
	for _, name := range sorted(blocks) {
		b := blocks[name]
		entry := named{name: name, label: kind + " " + name, nothing: b == nil}
		if b != nil {
			entry.block, entry.links = P(b), P(b).links
			entry.label = at(entry.label, placeOf(b))
		}
		all = append(all, entry)
	}
	return all
}

// known refuses a reference to an issuer that no block declares. A URL needs no
// block: without one it is an inline issuer, or a server that is called only.
func (g *Gatehouse) known(ref string) error {
	if _, _, ok := g.Issuer(ref); ok {
		return nil
	}
	if isURL(ref) {
		return g.unlikeBlocks(ref)
	}
	return fmt.Errorf("%w; an issuer without a block is named by its URL", unknown("issuer", ref, sorted(g.Issuers)))
}

// unlikeBlocks refuses a URL that is a block's but for the slash at its end. It would be
// another issuer, without what that block says, and none of its tokens would be good.
func (g *Gatehouse) unlikeBlocks(url string) error {
	twin, slash := strings.CutSuffix(url, "/")
	if !slash {
		twin += "/"
	}
	name, issuer, ok := g.Issuer(twin)
	if !ok {
		return nil
	}
	return fmt.Errorf("%s is no block's URL, and %s has %s: write both alike, with the slash at the end or without",
		url, issuer.Label(name), twin)
}
