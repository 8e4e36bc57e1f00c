package gatehouse

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/handlers"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

// provisionPolicies compiles every named policy, also those that nobody uses: a
// mistake in one is not to wait until somebody does.
func (a *App) provisionPolicies(ctx caddy.Context) error {
	a.policies = make(map[string][]policy.Rule, len(a.Policies))
	for _, name := range slices.Sorted(maps.Keys(a.Policies)) {
		if err := a.addPolicy(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// addPolicy compiles a policy after those that it uses. Check has refused
// circles.
func (a *App) addPolicy(ctx caddy.Context, name string) error {
	if a.policies[name] != nil {
		return nil
	}
	block := a.Policies[name]
	for _, used := range block.Uses() {
		if err := a.addPolicy(ctx, used); err != nil {
			return err
		}
	}
	rules, err := handlers.Rules(ctx, &a.Gatehouse, block.Rules, a.PolicyRules)
	if err == nil {
		_, err = policy.New(rules)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", block.Label(name), err)
	}
	for i := range rules {
		if rules[i].Policy == "" {
			rules[i].Policy = name
		}
	}
	a.policies[name] = rules
	return nil
}

// PolicyRules implements handlers.Services.
func (a *App) PolicyRules(name string) []policy.Rule { return a.policies[name] }
