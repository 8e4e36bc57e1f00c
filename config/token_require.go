package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The rules of token_require, as a Rule names them.
const (
	// RuleScope: the token holds all of these scopes.
	RuleScope = "scope"
	// RuleAnyScope: the token holds one of these scopes.
	RuleAnyScope = "any_scope"
	// RuleAudience: the token is for one of these audiences.
	RuleAudience = "audience"
	// RuleIssuer: the token comes from one of these issuers.
	RuleIssuer = "issuer"
	// RuleClient: the token was issued to one of these clients.
	RuleClient = "client"
	// RuleClaim: the claim is, or contains, one of these values.
	RuleClaim = "claim"
)

var ruleNames = []string{RuleScope, RuleAnyScope, RuleAudience, RuleIssuer, RuleClient, RuleClaim}

// TokenRequire says what the caller's token must hold.
type TokenRequire struct {
	// The rules, all of which must hold. At least one is required.
	Rules []Rule `json:"rules,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Rule is one thing that a token must hold.
type Rule struct {
	// What is looked at: `scope` (the token holds all values), or one of
	// `any_scope`, `audience`, `issuer`, `client` and `claim` (it holds at least
	// one of the values).
	Rule string `json:"rule,omitempty"`

	// The claim that a `claim` rule looks at: a claim's name, names joined by
	// dots, or a JSON Pointer that begins with a slash.
	Path string `json:"path,omitempty"`

	// The values. Issuers are named by name or URL. Values of a `claim` rule take
	// the placeholders of a request, and are filled on each of them.
	Values []string `json:"values,omitempty"`
}

// UnmarshalCaddyfile reads the directive, in its short form or with a block.
// Syntax:
//
//	token_require [<matcher>] <rule>
//	token_require [<matcher>] {
//		scope     <scope...>
//		any_scope <scope...>
//		audience  <aud...>
//		issuer    <issuer...>
//		client    <id...>
//		claim     <path> <value...>
//	}
//
// Every line of the block is a rule of its own.
func (t *TokenRequire) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	if !d.NextArg() {
		return readBlock(d, "", t)
	}
	if err := readLine(d, t, make(map[string]bool)); err != nil {
		return locate(d, "", err)
	}
	return nil
}

func (t *TokenRequire) options() []option {
	options := make([]option, len(ruleNames))
	for i, name := range ruleNames {
		options[i] = option{word: name, repeat: true, read: func(d *caddyfile.Dispenser) error {
			return t.readRule(d, name)
		}}
	}
	return options
}

func (t *TokenRequire) readRule(d *caddyfile.Dispenser, name string) error {
	rule := Rule{Rule: name}
	if name == RuleClaim {
		if err := readOne(&rule.Path)(d); err != nil {
			return fmt.Errorf("%w: write claim <path> <value...>", err)
		}
	}
	if err := readList(&rule.Values)(d); err != nil {
		return err
	}
	t.Rules = append(t.Rules, rule)
	return nil
}

func (t *TokenRequire) settings() []setting {
	var settings []setting
	for i := range t.Rules {
		settings = append(settings, t.Rules[i].settings()...)
	}
	return settings
}

func (r *Rule) settings() []setting {
	switch r.Rule {
	case RuleScope, RuleAnyScope:
		return list(r.Rule, r.Values, checkScope)
	case RuleIssuer:
		return list(r.Rule, r.Values, checkRef)
	case RuleClaim:
		settings := list(r.Rule, r.Values, checkText)
		for i := range settings {
			settings[i].late = true
		}
		return append(one(r.Rule, &r.Path, checkPath), settings...)
	default:
		return list(r.Rule, r.Values, checkText)
	}
}

func (t *TokenRequire) contradiction() error {
	for i := range t.Rules {
		if err := t.Rules[i].contradiction(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) contradiction() error {
	switch {
	case !slices.Contains(ruleNames, r.Rule):
		return unknown("rule", r.Rule, ruleNames)
	case r.Rule == RuleAudience && slices.Contains(r.Values, anyAudience):
		return errors.New("audience: any is no audience and requires nothing: name the audiences, or leave the rule out")
	case r.Rule != RuleClaim && r.Path != "":
		return fmt.Errorf("%s: a path belongs to the rule claim only", r.Rule)
	case r.Rule == RuleClaim && r.Path == "":
		return errors.New("claim: the path is missing")
	case len(r.Values) == 0:
		return fmt.Errorf("%s: a value is missing: write one or more", r.Rule)
	}
	return nil
}

func (t *TokenRequire) missing() error {
	if len(t.Rules) == 0 {
		return errors.New("a rule is missing: write token_require <rule> <value...>, or rules in a block")
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenRequire) Label() string { return at("token_require", t.Place) }

// Expand replaces the placeholders in place, once, at load. Values of claim
// rules stay as they are: requests fill them.
func (t *TokenRequire) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the rules and at the issuers they name. It is called after
// Expand, with the app's checked configuration.
func (t *TokenRequire) Check(g *Gatehouse) error {
	label := t.Label()
	if err := checkBlock(label, t); err != nil {
		return err
	}
	for _, rule := range t.Rules {
		if rule.Rule != RuleIssuer {
			continue
		}
		for _, ref := range rule.Values {
			if err := g.known(ref); err != nil {
				return fmt.Errorf("%s: issuer: %w", label, err)
			}
		}
	}
	return nil
}
