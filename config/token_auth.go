package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenAuth says whose tokens a route accepts.
type TokenAuth struct {
	// The issuers whose tokens are accepted, each by the name of its block or by
	// its URL. A URL without a block is trusted as it stands, with the defaults of
	// an issuer. Default: the only issuer of the app; with several of them the
	// list is required.
	Issuers []string `json:"issuers,omitempty"`

	// The accepted values of the `aud` claim, of which a token must have one,
	// instead of those of the issuers. The single word `any` accepts tokens for
	// every audience. Default: the audience of the issuer's block.
	Audience []string `json:"audience,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_auth [<matcher>] [<issuer>...] {
//		audience <aud...> | any
//	}
func (t *TokenAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	t.Issuers = d.RemainingArgs()
	return readBlock(d, "", t)
}

func (t *TokenAuth) options() []option {
	return []option{{word: "audience", read: readList(&t.Audience)}}
}

func (t *TokenAuth) settings() []setting {
	return slices.Concat(
		list("issuer", t.Issuers, checkRef),
		accepted(t.Audience),
	)
}

func (t *TokenAuth) contradiction() error {
	for n, ref := range t.Issuers {
		if slices.Contains(t.Issuers[:n], ref) {
			return fmt.Errorf("the issuer %s is named twice", ref)
		}
	}
	return checkAny(t.Audience)
}

func (t *TokenAuth) missing() error { return nil }

// Label names the directive and its place, for messages.
func (t *TokenAuth) Label() string { return at("token_auth", t.Place) }

// Expand replaces the placeholders in place, once, at load.
func (t *TokenAuth) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the directive and at the issuers it names. It is called after
// Expand, with the app's checked configuration.
func (t *TokenAuth) Check(g *Gatehouse) error {
	label := t.Label()
	if err := checkBlock(label, t); err != nil {
		return err
	}
	if err := t.links(g); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}

func (t *TokenAuth) links(g *Gatehouse) error {
	if names := g.trusted(); len(t.Issuers) == 0 {
		switch len(names) {
		case 0:
			return errors.New("no issuer: write token_auth <url>, or an issuer block in the global option gatehouse")
		case 1:
			return nil
		default:
			return fmt.Errorf("several issuers are declared, so name those whose tokens are accepted here: token_auth %s",
				strings.Join(names, " "))
		}
	}
	seen := make(map[string]string)
	for _, ref := range t.Issuers {
		if err := g.known(ref); err != nil {
			return err
		}
		name, issuer, ok := g.Issuer(ref)
		if ok && issuer.Outbound {
			return fmt.Errorf("%s is outbound: it is only called, and its tokens are never accepted", issuer.Label(name))
		}
		if other, twice := seen[name]; ok && twice {
			return fmt.Errorf("%s and %s are the same issuer %s: name it once", other, ref, name)
		}
		seen[name] = ref
	}
	return nil
}
