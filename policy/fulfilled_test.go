package policy_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func remembered(t *testing.T, rules ...policy.Rule) *policy.Policy {
	t.Helper()
	made, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	made.Remember()
	return made
}

// A changing expression is true until it is not.
type changing struct{ holds *bool }

func (c changing) MatchWithError(*http.Request) (bool, error) { return *c.holds, nil }

// tenant fills in the placeholder.
func tenant(value string) func(string) string {
	return func(text string) string { return strings.ReplaceAll(text, "{request.tenant}", value) }
}

// often is more than it takes until what a policy says of a token is remembered.
const often = 100

// What is remembered of a token is what every request would be told: a rule that looks at
// anything else is asked each time, be it alone or among others.
func TestFulfilled(t *testing.T) {
	goes := true
	tests := map[string]struct {
		rule  policy.Rule
		turns bool
	}{
		"scope":                    {rule(policy.Scope, "a"), false},
		"any scope":                {rule(policy.AnyScope, "x", "a"), false},
		"audience":                 {rule(policy.Audience, "one"), false},
		"issuer":                   {rule(policy.Issuer, "https://issuer.example.com"), false},
		"client":                   {rule(policy.Client, "app"), false},
		"role":                     {rule(policy.Role, "user"), false},
		"actor":                    {rule(policy.Actor, "robot"), false},
		"acr":                      {rule(policy.ACR, "gold"), false},
		"amr":                      {rule(policy.AMR, "otp"), false},
		"claim":                    {claim("tenant", "acme"), false},
		"claim with a placeholder": {claim("tenant", "{request.tenant}"), true},
		"sender_constrained":       {rule(policy.Sender, "dpop"), true},
		"max_auth_age":             {policy.Rule{Kind: policy.MaxAuthAge, Values: []string{"1h"}, Age: time.Hour}, true},
		"expression":               {policy.Rule{Kind: policy.Expr, Values: []string{"x"}, Expression: changing{&goes}}, true},
	}
	for name, test := range tests {
		for _, rules := range [][]policy.Rule{{test.rule}, {rule(policy.Scope, "a"), test.rule}, {test.rule, rule(policy.Scope, "a")}} {
			t.Run(name, func(t *testing.T) {
				made := remembered(t, rules...)
				held := holder(t, "a")
				held.ACR, held.AMR, held.AuthTime = "gold", []string{"otp"}, time.Now()
				goes = true
				asked := question(held, tenant("acme"))
				asked.Shown = []string{"dpop"}
				if made.Fulfilled(held) {
					t.Error("it is remembered before anybody asked")
				}
				for range often {
					if denied := made.Denies(asked); denied != nil {
						t.Fatalf("denied %+v", denied)
					}
				}
				if got := made.Fulfilled(held); got == test.turns {
					t.Errorf("remembered: %t", got)
				}
				// Another request, later.
				goes, held.AuthTime = false, time.Now().Add(-2*time.Hour)
				asked = &policy.Question{
					Token: held, Expand: tenant("other"), Request: httptest.NewRequest(http.MethodPost, "/", http.NoBody),
				}
				if denied := made.Denies(asked) != nil; denied != test.turns {
					t.Errorf("denied later: %t", denied)
				}
			})
		}
	}
}

// What one policy says of a token is no word of another one, be it made of the same rules,
// and what is said of one token is none of another.
func TestFulfilledIsOneWordOfOnePolicy(t *testing.T) {
	var made [3]*policy.Policy
	for i, scope := range []string{"a", "a", "b"} {
		made[i] = remembered(t, rule(policy.Scope, scope))
	}
	held, other := holder(t, "a"), holder(t, "b")
	for range often {
		for i, asked := range made {
			if denied := asked.Denies(question(held, nil)) != nil; denied != (i == 2) {
				t.Fatalf("policy %d: denied %t", i, denied)
			}
			if made[2].Fulfilled(held) || made[0].Fulfilled(held) && made[1].Fulfilled(held) || asked.Fulfilled(other) {
				t.Fatal("a policy is fulfilled because of another one, or of another token")
			}
		}
	}
	// Two take turns, and the one that alone is used is found in the end.
	for _, asked := range made[:2] {
		for range often {
			_ = asked.Denies(question(held, nil))
		}
		if !asked.Fulfilled(held) {
			t.Error("what is used alone is not remembered")
		}
	}
	held.Note(math.MaxUint32)
	if made[0].Fulfilled(held) || new(policy.Policy).Fulfilled(new(token.Token)) {
		t.Error("fulfilled, and nobody said so")
	}
}

// Many requests ask about one token at once, on routes with other policies.
func TestFulfilledAtOnce(t *testing.T) {
	held := holder(t, "a", "b")
	policies := []*policy.Policy{remembered(t, rule(policy.Scope, "a")), remembered(t, rule(policy.Scope, "b")), remembered(t, rule(policy.Scope, "c"))}
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
