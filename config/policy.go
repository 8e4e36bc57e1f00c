package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Policy is a set of rules with a name, for `policy` rules anywhere.
type Policy struct {
	// The rules, all of which must hold. At least one is required. They may name
	// other policies, but not in a circle.
	Rules RuleSet `json:"rules,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

func (p *Policy) options() []option { return p.Rules.options() }

func (p *Policy) settings() []setting { return p.Rules.settings() }

func (p *Policy) contradiction() error { return p.Rules.contradiction() }

func (p *Policy) missing() error {
	if len(p.Rules) == 0 {
		return errors.New("a rule is missing: write policy <name> and the rules in a block")
	}
	return nil
}

func (p *Policy) links(g *Gatehouse) error { return p.Rules.links(g) }

// Label names the policy and its place, for messages.
func (p *Policy) Label(name string) string { return at("policy "+name, p.Place) }

// Uses are the policies that this one names.
func (p *Policy) Uses() []string {
	var names []string
	for _, rule := range p.Rules {
		if rule.Rule == RulePolicy {
			names = append(names, rule.Values...)
		}
	}
	return names
}

// read reads the rules.
func (p *Policy) read(d *caddyfile.Dispenser, name string) error {
	if d.CountRemainingArgs() == 0 && !opensBlock(d) {
		return p.missing()
	}
	return readBlock(d, "policy "+name, p)
}

// checkCircles refuses policies that come back to themselves: they would ask
// without an end.
func (g *Gatehouse) checkCircles() error {
	straight := make(map[string]bool)
	for _, name := range sorted(g.Policies) {
		if circle := g.circle(name, nil, straight); circle != nil {
			return fmt.Errorf("%s: policies use each other in a circle: %s",
				g.Policies[circle[0]].Label(circle[0]), strings.Join(circle, " -> "))
		}
	}
	return nil
}

// circle follows a policy on a way so far and returns the circle that closes, as
// names of which the last is the first. Those that lead to none are noted as
// straight, so that each is followed once.
func (g *Gatehouse) circle(name string, way []string, straight map[string]bool) []string {
	if straight[name] {
		return nil
	}
	if i := slices.Index(way, name); i >= 0 {
		return append(slices.Clone(way[i:]), name)
	}
	way = append(way, name)
	for _, next := range g.Policies[name].Uses() {
		if circle := g.circle(next, way, straight); circle != nil {
			return circle
		}
	}
	straight[name] = true
	return nil
}
