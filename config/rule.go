package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The rules of token_require, of policies and of the token matcher, as a Rule
// names them.
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
	// RuleRole: the token holds one of these roles.
	RuleRole = "role"
	// RuleActor: the current actor is one of these clients.
	RuleActor = "actor"
	// RuleClaim: the claim is, or contains, one of these values.
	RuleClaim = "claim"
	// RuleACR: the login was of one of these classes.
	RuleACR = "acr"
	// RuleMaxAuthAge: the login is not older than this.
	RuleMaxAuthAge = "max_auth_age"
	// RuleAMR: the login used one of these methods.
	RuleAMR = "amr"
	// RuleSender: the token was shown to be the caller's own in one of these ways.
	RuleSender = "sender_constrained"
	// RuleExpression: the expression is true.
	RuleExpression = "expression"
	// RulePolicy: all rules of these policies hold.
	RulePolicy = "policy"
)

var ruleNames = []string{
	RuleScope, RuleAnyScope, RuleAudience, RuleIssuer, RuleClient, RuleRole, RuleActor, RuleClaim,
	RuleACR, RuleMaxAuthAge, RuleAMR, RuleSender, RuleExpression, RulePolicy,
}

// A Rule is one thing that a token must hold.
type Rule struct {
	// What is looked at: `scope` (the token holds all values), one of `any_scope`,
	// `audience`, `issuer`, `client`, `role`, `actor`, `claim`, `acr` and `amr` (it
	// holds at least one of the values), `max_auth_age` (the login is not older
	// than the value), `sender_constrained` (the token was shown to be the caller's
	// own by `dpop` or `mtls`), `expression` (the value, in Caddy's expression language, is
	// true) or `policy` (all rules of all policies hold). Required.
	Rule string `json:"rule,omitempty"`

	// The claim that a `claim` rule looks at: a claim's name, names joined by
	// dots, or a JSON Pointer that begins with a slash. Required for `claim`, and
	// for no other.
	Path string `json:"path,omitempty"`

	// The values. Issuers are named by name or URL. Values of a `claim` rule take
	// the placeholders of a request, and are filled on each of them; so do
	// expressions, as Caddy's own do. `max_auth_age` and `expression` have one
	// value. Required.
	Values []string `json:"values,omitempty"`
}

// MaxAge is the value of a max_auth_age rule, 0 for others.
func (r *Rule) MaxAge() time.Duration {
	if r.Rule != RuleMaxAuthAge || len(r.Values) != 1 {
		return 0
	}
	return Duration(r.Values[0]).Or(0)
}

// A RuleSet is a list of rules, all of which must hold.
type RuleSet []Rule

func (s *RuleSet) options() []option {
	options := make([]option, len(ruleNames))
	for i, name := range ruleNames {
		options[i] = option{word: name, repeat: true, read: func(d *caddyfile.Dispenser) error {
			rule := Rule{Rule: name}
			if err := rule.read(d); err != nil {
				return err
			}
			*s = append(*s, rule)
			return nil
		}}
	}
	return options
}

func (r *Rule) read(d *caddyfile.Dispenser) error {
	switch r.Rule {
	case RuleClaim:
		if err := readOne(&r.Path)(d); err != nil {
			return fmt.Errorf("%w: write claim <path> <value...>", err)
		}
	case RuleMaxAuthAge:
		r.Values = make([]string, 1)
		return readOne(&r.Values[0])(d)
	case RuleSender:
		return readBindings(&r.Values)(d)
	case RuleExpression:
		text := readExpression(d)
		if strings.TrimSpace(text) == "" {
			return errors.New("the expression is missing: write expression <cel>")
		}
		r.Values = []string{text}
		return nil
	}
	return readList(&r.Values)(d)
}

// readExpression reads the rest of the line as Caddy's matcher expression does:
// several words with the quotes they have, one word without.
func readExpression(d *caddyfile.Dispenser) string {
	if d.CountRemainingArgs() > 1 {
		return strings.Join(d.RemainingArgsRaw(), " ")
	}
	if !d.NextArg() {
		return ""
	}
	return d.Val()
}

func (s *RuleSet) settings() []setting {
	var settings []setting
	for i := range *s {
		settings = append(settings, (*s)[i].settings()...)
	}
	return settings
}

func (r *Rule) settings() []setting {
	switch r.Rule {
	case RuleScope, RuleAnyScope:
		return list(r.Rule, r.Values, checkScope)
	case RuleSender:
		return list(r.Rule, r.Values, checkBinding)
	case RuleIssuer:
		return list(r.Rule, r.Values, checkRef)
	case RuleClaim:
		return append(one(r.Rule, &r.Path, checkPath), late(list(r.Rule, r.Values, checkClosed))...)
	case RuleACR:
		return list(r.Rule, r.Values, checkACR)
	case RuleMaxAuthAge:
		return list(r.Rule, r.Values, checkMaxAuthAge)
	case RuleExpression:
		return late(list(r.Rule, r.Values, checkExpression))
	default:
		return list(r.Rule, r.Values, checkText)
	}
}

// checkClosed accepts texts that requests fill. Without its closing brace a placeholder
// would be a text that no claim has, so that the rule denies, and within not lets pass.
func checkClosed(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	if err := checkAsked(text); err != nil {
		return err
	}
	plain := strings.ReplaceAll(text, `\{`, "")
	rest, err := caddy.NewEmptyReplacer().ReplaceFunc(plain, func(string, any) (any, error) { return "", nil })
	if err == nil && strings.Contains(rest, "{") {
		err = errors.New("a placeholder lacks its closing brace")
	}
	return err
}

// late marks settings that requests fill.
func late(settings []setting) []setting {
	for i := range settings {
		settings[i].late = true
	}
	return settings
}

func (s *RuleSet) contradiction() error {
	for i := range *s {
		if err := (*s)[i].contradiction(); err != nil {
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
	case len(r.Values) > 1 && (r.Rule == RuleMaxAuthAge || r.Rule == RuleExpression):
		return fmt.Errorf("%s: it takes one value: write a rule for each", r.Rule)
	}
	return nil
}

// links checks the names of issuers and policies.
func (s *RuleSet) links(g *Gatehouse) error {
	for _, rule := range *s {
		for _, name := range rule.Values {
			var err error
			switch rule.Rule {
			case RuleIssuer:
				err = g.knownCaller(name)
			case RulePolicy:
				if g.Policies[name] == nil {
					err = unknown("policy", name, sorted(g.Policies))
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", rule.Rule, err)
			}
		}
		if rule.Rule == RuleRole && !g.namesRoles() {
			return errors.New("role: no issuer says where its tokens have roles: write claims { roles <path> } in an issuer block")
		}
	}
	return nil
}

// CheckRule checks one rule by itself, as the lines of a Caddyfile are.
func CheckRule(rule Rule) error {
	if err := checkWritten(rule.settings()); err != nil {
		return err
	}
	return rule.contradiction()
}

// checkACR accepts one authentication context class. A challenge names several
// parted by blanks, in a quoted string (RFC 9470, section 3).
func checkACR(text string) error {
	if text == "" {
		return errEmpty
	}
	if checkScope(text) != nil {
		return fmt.Errorf("%q is not an acr value: they are printable ASCII without blank, quote and backslash, each a word of its own", text)
	}
	return nil
}

// checkMaxAuthAge accepts whole seconds: challenges know no others (RFC 9470,
// section 3).
func checkMaxAuthAge(text string) error {
	value, err := parseDuration(text)
	if err == nil && (value < time.Second || value%time.Second != 0) {
		err = fmt.Errorf("%s is not a whole number of seconds from 1s on", text)
	}
	return err
}

// checkExpression accepts any text that may be an expression; what it says is
// seen when it is compiled.
func checkExpression(text string) error {
	if strings.TrimSpace(text) == "" {
		return errEmpty
	}
	if err := checkAsked(text); err != nil {
		return err
	}
	return checkText(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}
