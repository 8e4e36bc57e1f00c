package config

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenExchange says which exchange gives the upstream its token: one of the
// app's by name, or one that is written here.
type TokenExchange struct {
	// The name of an exchange of the app. This or `exchange` is required.
	Name string `json:"name,omitempty"`

	// The exchange itself, instead of a name.
	Exchange *Exchange `json:"exchange,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_exchange [<matcher>] <name>
//	token_exchange [<matcher>] {
//		... the words of an exchange
//	}
func (t *TokenExchange) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	if d.NextArg() {
		t.Name = d.Val()
		if d.NextArg() {
			return locate(d, "", fmt.Errorf("one exchange a directive: %q is too many", d.Val()))
		}
		if opensBlock(d) {
			return locate(d, "", errTwoExchanges)
		}
		if err := checkLine(t); err != nil {
			return locate(d, "", err)
		}
		return nil
	}
	if !opensBlock(d) {
		return locate(d, "", errNoExchange)
	}
	t.Exchange = &Exchange{Place: t.Place}
	return readBlock(d, "", t.Exchange)
}

var (
	errTwoExchanges = errors.New("the name of an exchange and a block exclude each other: write one of them")
	errNoExchange   = errors.New("the exchange is missing: write token_exchange <name>, or a block with the words of exchange")
)

func (t *TokenExchange) options() []option { return nil }

func (t *TokenExchange) settings() []setting {
	settings := one("name", &t.Name, checkName)
	if t.Exchange != nil {
		settings = append(settings, t.Exchange.settings()...)
	}
	return settings
}

func (t *TokenExchange) contradiction() error {
	if t.Name != "" && t.Exchange != nil {
		return errTwoExchanges
	}
	if t.Exchange != nil {
		return t.Exchange.contradiction()
	}
	return nil
}

func (t *TokenExchange) missing() error {
	if t.Exchange != nil {
		return t.Exchange.missing()
	}
	if t.Name == "" {
		return errNoExchange
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenExchange) Label() string { return at("token_exchange", t.Place) }

// Expand replaces the placeholders in place, once, at load.
func (t *TokenExchange) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the directive, its exchange and the names they hold. It is
// called after Expand, with the app's checked configuration.
func (t *TokenExchange) Check(g *Gatehouse) error {
	label := t.Label()
	if err := checkBlock(label, t); err != nil {
		return err
	}
	var err error
	if t.Exchange != nil {
		err = t.Exchange.links(g)
	} else if _, ok := g.Exchanges[t.Name]; !ok {
		err = unknown("exchange", t.Name, sorted(g.Exchanges))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}

// Resolve returns the exchange of the directive, by its name or from its block.
// It is called after Check.
func (t *TokenExchange) Resolve(g *Gatehouse) *Exchange {
	if t.Exchange != nil {
		return t.Exchange
	}
	return g.Exchanges[t.Name]
}
