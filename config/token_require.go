package config

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenRequire says what the caller's token must hold.
type TokenRequire struct {
	// The rules, all of which must hold. At least one is required.
	Rules RuleSet `json:"rules,omitempty"`

	// Whether to decide without refusing: what would be refused is written to the
	// audit trail and counted, and passes. It is for trying a rule out, and is
	// warned of whenever the configuration is loaded. Default: false.
	Shadow bool `json:"shadow,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive, in its short form or with a block.
// Syntax:
//
//	token_require [<matcher>] <rule>
//	token_require [<matcher>] {
//		scope        <scope...>
//		any_scope    <scope...>
//		audience     <aud...>
//		issuer       <issuer...>
//		client       <id...>
//		role         <role...>
//		actor        <client...>
//		claim        <path> <value...>
//		acr          <value...>
//		max_auth_age <duration>
//		amr          <value...>
//		expression   <cel>
//		policy       <name...>
//		shadow
//	}
//
// Every line of the block but shadow is a rule of its own.
func (t *TokenRequire) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	return readRules(d, t)
}

// readRules reads rules behind a word: one on its line, or more in a block.
func readRules(d *caddyfile.Dispenser, b block) error {
	if !d.NextArg() {
		return readBlock(d, "", b)
	}
	err := readLine(d, b, make(map[string]bool))
	if err == nil {
		err = b.missing()
	}
	if err != nil {
		return locate(d, "", err)
	}
	return nil
}

func (t *TokenRequire) options() []option {
	return append(t.Rules.options(), option{word: "shadow", read: func(*caddyfile.Dispenser) error {
		t.Shadow = true
		return nil
	}})
}

func (t *TokenRequire) settings() []setting { return t.Rules.settings() }

func (t *TokenRequire) contradiction() error { return t.Rules.contradiction() }

func (t *TokenRequire) missing() error {
	if len(t.Rules) == 0 {
		return errors.New("a rule is missing: write token_require <rule> <value...>, or rules in a block")
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenRequire) Label() string { return at("token_require", t.Place) }

// Expand replaces the placeholders in place, once, at load. Values of claim
// rules and expressions stay as they are: requests fill them.
func (t *TokenRequire) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the rules, and at the issuers and policies they name. It is
// called after Expand, with the app's checked configuration.
func (t *TokenRequire) Check(g *Gatehouse) error {
	return checkRules(t.Label(), t, t.Rules, g)
}

// checkRules is Check for a directive that consists of rules.
func checkRules(label string, b block, rules RuleSet, g *Gatehouse) error {
	if err := checkBlock(label, b); err != nil {
		return err
	}
	if err := rules.links(g); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}
