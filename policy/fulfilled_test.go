package policy_test

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func made(t *testing.T, rules ...policy.Rule) *policy.Policy {
	t.Helper()
	made, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// That a token fulfils a policy is for good where neither the request nor the time has a
// say, and only there.
func TestFulfilledForGood(t *testing.T) {
	held := func() *token.Token {
		held := holder(t, "a", "b")
		held.ACR, held.AMR, held.AuthTime = "gold", []string{"otp"}, time.Now()
		return held
	}
	for name, test := range map[string]struct {
		rules []policy.Rule
		want  bool
	}{
		"scope":            {[]policy.Rule{rule(policy.Scope, "a")}, true},
		"several":          {[]policy.Rule{rule(policy.AnyScope, "a"), rule(policy.Client, "app"), rule(policy.ACR, "gold"), rule(policy.AMR, "otp")}, true},
		"a claim":          {[]policy.Rule{claim("tenant", "acme")}, true},
		"a placeholder":    {[]policy.Rule{claim("tenant", "{request.tenant}", "acme")}, false},
		"an expression":    {[]policy.Rule{expression("is true", true, nil)}, false},
		"the login's age":  {[]policy.Rule{maxAge(time.Hour)}, false},
		"the sender":       {[]policy.Rule{rule(policy.Sender, "dpop")}, false},
		"one that may not": {[]policy.Rule{rule(policy.Scope, "a"), maxAge(time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked, holder := made(t, test.rules...), held()
			if asked.Fulfilled(holder) {
				t.Error("it is fulfilled before anybody asked")
			}
			question := question(holder, func(text string) string { return text })
			question.Shown = []string{"dpop"}
			if denied := asked.Denies(question); denied != nil {
				t.Fatalf("denied: %+v", denied)
			}
			if got := asked.Fulfilled(holder); got != test.want {
				t.Errorf("fulfilled for good: %t, want %t", got, test.want)
			}
		})
	}
}

// What one policy lets pass is no word about another one, nor about another token, however
// often each was asked.
func TestFulfilledOfOnePolicyAndToken(t *testing.T) {
	good, twin := made(t, rule(policy.Scope, "a")), made(t, rule(policy.Scope, "a"))
	bad := made(t, rule(policy.Scope, "c"))
	held, other := holder(t, "a"), holder(t, "b")
	for range 100 {
		if good.Denies(question(held, nil)) != nil || twin.Denies(question(held, nil)) != nil {
			t.Fatal("denied")
		}
		if bad.Denies(question(held, nil)) == nil || bad.Fulfilled(held) || good.Fulfilled(other) {
			t.Fatal("a token passed a policy that it does not fulfil")
		}
		if good.Fulfilled(held) && twin.Fulfilled(held) {
			t.Fatal("two policies have one number")
		}
	}
}

// Many requests ask about one token at once, on routes with other policies.
func TestFulfilledAtOnce(t *testing.T) {
	held := holder(t, "a", "b")
	policies := []*policy.Policy{made(t, rule(policy.Scope, "a")), made(t, rule(policy.Scope, "b")), made(t, rule(policy.Scope, "c"))}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for i := range 300 {
				asked := policies[i%len(policies)]
				if passes := asked.Fulfilled(held) || asked.Denies(question(held, nil)) == nil; passes == (asked == policies[2]) {
					t.Errorf("%s lets the token pass: %t", asked, passes)
				}
			}
		})
	}
	asking.Wait()
}
