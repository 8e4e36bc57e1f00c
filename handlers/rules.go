package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

// Rules translates the rules of a configuration, which Check has accepted. named
// returns the rules of a named policy; they take the place of the rule that names
// it, so that nothing is looked up when a request comes.
func Rules(ctx caddy.Context, global *config.Gatehouse, rules config.RuleSet, named func(string) []policy.Rule) ([]policy.Rule, error) {
	var all []policy.Rule
	for _, rule := range rules {
		if rule.Rule == config.RulePolicy {
			for _, name := range rule.Values {
				all = appendPolicy(all, named(name))
			}
			continue
		}
		translated, err := translate(ctx, global, rule)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.Rule, err)
		}
		all = append(all, translated)
	}
	return all, nil
}

// appendPolicy adds a policy's rules. A policy that is there already, since two
// others use it, need not hold twice.
func appendPolicy(all, added []policy.Rule) []policy.Rule {
	known := len(all)
	for _, rule := range added {
		if !slices.ContainsFunc(all[:known], func(r policy.Rule) bool { return r.Policy == rule.Policy }) {
			all = append(all, rule)
		}
	}
	return all
}

// translate translates one rule. Issuers by name become their URLs: tokens know
// URLs only.
func translate(ctx caddy.Context, global *config.Gatehouse, rule config.Rule) (translated policy.Rule, err error) {
	translated = policy.Rule{Kind: policy.Kind(rule.Rule), Path: rule.Path, Values: rule.Values, Age: rule.MaxAge()}
	switch rule.Rule {
	case config.RuleIssuer:
		translated.Values = nil
		for _, ref := range rule.Values {
			translated.Values = append(translated.Values, issuerURLs(global, ref)...)
		}
	case config.RuleClaim:
		err = noShorthands(placeholdersOf(rule.Values), examplePath)
	case config.RuleExpression:
		translated.Expression, err = compile(ctx, rule.Values[0])
	}
	return translated, err
}

// issuerURLs are the URLs that a name of the global block stands for; a URL
// stands for itself.
func issuerURLs(global *config.Gatehouse, ref string) []string {
	if _, issuer, ok := global.Issuer(ref); ok && !slices.Contains(issuer.URLs, ref) {
		return issuer.URLs
	}
	return []string{ref}
}

// compile makes an expression in Caddy's own language, which must be a boolean.
func compile(ctx caddy.Context, text string) (policy.Expression, error) {
	expression := &caddyhttp.MatchExpression{Expr: text}
	if err := expression.Provision(ctx); err != nil {
		// The compiler draws an arrow below the place, over several lines.
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	return expression, noShorthands(expression.Placeholders(), examplePath)
}

// Placeholders that messages give as examples, of what is meant most often there.
const (
	examplePath = "{http.request.uri.path}"
	exampleUser = "{http.auth.user.id}"
)

// noShorthands refuses placeholders that would never have a value.
func noShorthands(placeholders []string, example string) error {
	for _, name := range placeholders {
		if isShorthand(name) {
			return fmt.Errorf("{%s} is short for another placeholder in sites only: write its full name, such as %s", name, example)
		}
	}
	return nil
}

// placeholdersOf are the names of the placeholders that texts hold, as the
// replacer of a request will see them.
func placeholdersOf(texts []string) (names []string) {
	finder := caddy.NewEmptyReplacer()
	finder.Map(func(name string) (any, bool) {
		names = append(names, name)
		return "", true
	})
	for _, text := range texts {
		finder.ReplaceAll(text, "")
	}
	return names
}

// shorthands are what Caddy's shorthands with a variable end begin with.
var shorthands = []string{"header", "cookie", "labels", "path", "query", "re", "vars", "rp", "resp", "err", "file_match"}

// isShorthand tells whether a placeholder is one that the Caddyfile knows in
// sites. Elsewhere it would never have a value, and {path} != "/admin" be true.
func isShorthand(name string) bool {
	first, _, dotted := strings.Cut(name, ".")
	return name != "" && (!dotted || slices.Contains(shorthands, first))
}

// provisionRules makes the policy of one directive or matcher.
func provisionRules(ctx caddy.Context, app Services, label string, rules config.RuleSet) (*policy.Policy, error) {
	translated, err := Rules(ctx, app.Config(), rules, app.PolicyRules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	made, err := policy.New(translated)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return made, nil
}

// replacerOf returns the replacer of a request, nil if it has none.
func replacerOf(ctx context.Context) *caddy.Replacer {
	repl, _ := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return repl
}
