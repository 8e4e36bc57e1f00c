package config

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenMatcher says what the caller's token must hold for a request to match.
type TokenMatcher struct {
	// The rules, all of which must hold. At least one is required.
	Rules RuleSet `json:"rules,omitempty"`

	// Where the Caddyfile has this matcher, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the matcher, in its short form or with a block.
// Syntax:
//
//	@name token <rule>
//	@name token {
//		<the rules of token_require>
//	}
//
// A matcher that is written several times under one name needs all its rules.
func (m *TokenMatcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if m.Place == "" {
			m.Place = place(d)
		}
		if err := readRules(d, m); err != nil {
			return err
		}
	}
	return nil
}

func (m *TokenMatcher) options() []option { return m.Rules.options() }

func (m *TokenMatcher) settings() []setting { return m.Rules.settings() }

func (m *TokenMatcher) contradiction() error { return m.Rules.contradiction() }

func (m *TokenMatcher) missing() error {
	if len(m.Rules) == 0 {
		return errors.New("a rule is missing: write token <rule> <value...>, or rules in a block")
	}
	return nil
}

// Label names the matcher and its place, for messages.
func (m *TokenMatcher) Label() string { return at("token matcher", m.Place) }

// Expand replaces the placeholders in place, once, at load. Values of claim
// rules and expressions stay as they are: requests fill them.
func (m *TokenMatcher) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, m.Label(), m)
}

// Check looks at the rules, and at the issuers and policies they name. It is
// called after Expand, with the app's checked configuration.
func (m *TokenMatcher) Check(g *Gatehouse) error {
	return checkRules(m.Label(), m, m.Rules, g)
}
