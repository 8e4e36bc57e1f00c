package policy_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func maxAge(age time.Duration) policy.Rule {
	return policy.Rule{Kind: policy.MaxAuthAge, Values: []string{age.String()}, Age: age}
}

// denial is why the rules refuse a token, the zero one if they let it pass.
func denial(t *testing.T, held *token.Token, rules ...policy.Rule) policy.Denial {
	t.Helper()
	made, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	if denied := made.Denies(&policy.Question{Token: held, Leeway: 30 * time.Second}); denied != nil {
		return *denied
	}
	return policy.Denial{}
}

func TestLogin(t *testing.T) {
	held := &token.Token{ACR: "silver", AMR: []string{"pwd", "otp"}}
	tests := map[string]struct {
		held   *token.Token
		rule   policy.Rule
		reason string
	}{
		"acr":               {held, rule(policy.ACR, "gold", "silver"), ""},
		"acr, other":        {held, rule(policy.ACR, "gold"), "the login is of another class (acr), or of none"},
		"acr, another case": {held, rule(policy.ACR, "Silver"), "the login is of another class (acr), or of none"},
		"acr, none":         {&token.Token{}, rule(policy.ACR, "gold"), "the login is of another class (acr), or of none"},
		"amr":               {held, rule(policy.AMR, "hwk", "otp"), ""},
		"amr, other":        {held, rule(policy.AMR, "hwk"), "the login used none of the methods (amr)"},
		"amr, none":         {&token.Token{AMR: []string{""}}, rule(policy.AMR, "hwk"), "the login used none of the methods (amr)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := denial(t, test.held, test.rule)
			if got.Reason != test.reason || got.LoginHelps == (test.reason == "") || got.ScopeHelps {
				t.Errorf("denied %+v, want %q", got, test.reason)
			}
		})
	}
}

// The clocks of an issuer and of the gateway differ; more than the leeway is
// nobody's clock.
func TestMaxAuthAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tests := map[time.Duration]string{
			0:                              "",
			5 * time.Minute:                "",
			5*time.Minute + 30*time.Second: "",
			5*time.Minute + 31*time.Second: "the login is too old (auth_time)",
			-30 * time.Second:              "",
			-31 * time.Second:              "the login lies in the future (auth_time)",
			-100 * time.Hour:               "the login lies in the future (auth_time)",
		}
		for age, want := range tests {
			got := denial(t, &token.Token{AuthTime: time.Now().Add(-age)}, maxAge(5*time.Minute))
			if got.Reason != want || got.LoginHelps == (want == "") {
				t.Errorf("a login of %s: %+v, want %q", age, got, want)
			}
		}
	})
	got := denial(t, &token.Token{}, maxAge(time.Hour))
	want := policy.Denial{
		Kind: policy.MaxAuthAge, Rule: "max_auth_age 1h0m0s",
		Reason: "the token does not say when the user logged in (auth_time)", LoginHelps: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is advised leads to the goal: another login is of no use to a client that
// is refused all the same, and more scope alone is of none to a login too weak.
func TestAdvice(t *testing.T) {
	scope, acr, amr, client := rule(policy.Scope, "c"), rule(policy.ACR, "gold"), rule(policy.AMR, "hwk"), rule(policy.Client, "x")
	tests := map[string]struct {
		rules        []policy.Rule
		kind         policy.Kind
		login, scope bool
	}{
		"scope":                       {[]policy.Rule{scope}, policy.Scope, false, true},
		"login":                       {[]policy.Rule{acr}, policy.ACR, true, false},
		"the first about the login":   {[]policy.Rule{amr, acr}, policy.AMR, true, false},
		"scope, login":                {[]policy.Rule{scope, acr}, policy.ACR, true, true},
		"login, scope":                {[]policy.Rule{acr, scope}, policy.ACR, true, true},
		"scope, login, another":       {[]policy.Rule{scope, acr, client}, policy.Client, false, false},
		"another, scope, login":       {[]policy.Rule{client, scope, acr}, policy.Client, false, false},
		"login, another, scope":       {[]policy.Rule{acr, client, scope}, policy.Client, false, false},
		"login held, scope missing":   {[]policy.Rule{rule(policy.ACR, "silver"), scope}, policy.Scope, false, true},
		"scope held, login too weak":  {[]policy.Rule{rule(policy.Scope, "a"), acr}, policy.ACR, true, false},
		"scope, login, an expression": {[]policy.Rule{scope, acr, expression("e", false, nil)}, policy.Expr, false, false},
	}
	held := &token.Token{Client: "app", Scopes: []string{"a"}, ACR: "silver", AMR: []string{"pwd"}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := denial(t, held, test.rules...)
			if got.Kind != test.kind || got.LoginHelps != test.login || got.ScopeHelps != test.scope {
				t.Errorf("denied %+v", got)
			}
		})
	}
}

func TestStepUp(t *testing.T) {
	tests := map[string]struct {
		rules []policy.Rule
		want  policy.StepUp
	}{
		"nothing":         {[]policy.Rule{rule(policy.Scope, "a"), rule(policy.AMR, "hwk")}, policy.StepUp{}},
		"both":            {[]policy.Rule{rule(policy.ACR, "a", "b"), maxAge(time.Minute)}, policy.StepUp{ACR: []string{"a", "b"}, MaxAge: time.Minute}},
		"what all accept": {[]policy.Rule{rule(policy.ACR, "a", "b", "c"), rule(policy.ACR, "d", "c", "b")}, policy.StepUp{ACR: []string{"b", "c"}}},
		"the youngest":    {[]policy.Rule{maxAge(time.Hour), maxAge(time.Minute), maxAge(time.Hour)}, policy.StepUp{MaxAge: time.Minute}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			made, err := policy.New(test.rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, made.StepUp()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := policy.New([]policy.Rule{rule(policy.ACR, "a"), rule(policy.ACR, "b")}); !errors.Is(err, policy.ErrImpossible) {
		t.Errorf("error %v, want %v", err, policy.ErrImpossible)
	}
	one, other := policy.StepUp{ACR: []string{"a"}}, policy.StepUp{ACR: []string{"b"}, MaxAge: time.Minute}
	if diff := cmp.Diff(other, one.And(other)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(other, other.And(policy.StepUp{})); diff != "" {
		t.Error(diff)
	}
}

func TestPolicyText(t *testing.T) {
	made, err := policy.New([]policy.Rule{rule(policy.Scope, "a", "b"), {Kind: policy.Client, Values: []string{"c"}, Policy: "staff"}, claim("d", "e")})
	if err != nil {
		t.Fatal(err)
	}
	if want := "scope a b; policy staff: client c; claim d e"; made.String() != want {
		t.Errorf("%q, want %q", made, want)
	}
}
