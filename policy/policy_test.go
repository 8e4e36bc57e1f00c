package policy_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const claims = `{
	"tenant": "acme", "level": 3, "staff": true, "empty": "", "null": null, "none": [],
	"roles": ["admin", 7, false, null, {"a": "b"}], "realm": {"roles": ["r1"]}
}`

func holder(tb testing.TB, scopes ...string) *token.Token {
	tb.Helper()
	parsed, err := token.ParseClaims([]byte(claims))
	if err != nil {
		tb.Fatal(err)
	}
	return &token.Token{
		Issuer: "https://issuer.example.com", Subject: "alice", Client: "app", Audience: []string{"one", "two"},
		Scopes: scopes, Roles: []string{"user", "buyer"}, Actor: "robot", Claims: parsed,
	}
}

func rule(kind policy.Kind, values ...string) policy.Rule {
	return policy.Rule{Kind: kind, Values: values}
}

func claim(path string, values ...string) policy.Rule {
	return policy.Rule{Kind: policy.Claim, Path: path, Values: values}
}

func question(t *token.Token, expand func(string) string) *policy.Question {
	return &policy.Question{Token: t, Expand: expand, Request: httptest.NewRequest(http.MethodGet, "/", http.NoBody)}
}

// kindOf is the first word of a rule.
func kindOf(rule string) policy.Kind {
	kind, _, _ := strings.Cut(rule, " ")
	return policy.Kind(kind)
}

// A verdict is an expression that is decided already.
type verdict struct {
	holds bool
	err   error
}

func (v verdict) MatchWithError(*http.Request) (bool, error) { return v.holds, v.err }

func expression(text string, holds bool, err error) policy.Rule {
	return policy.Rule{Kind: policy.Expr, Values: []string{text}, Expression: verdict{holds, err}}
}

func TestDenies(t *testing.T) {
	denied := func(rule, reason string) *policy.Denial {
		return &policy.Denial{Kind: kindOf(rule), Rule: rule, Reason: reason}
	}
	lacks := func(rule, reason string) *policy.Denial {
		return &policy.Denial{Kind: kindOf(rule), Rule: rule, Reason: reason, ScopeHelps: true}
	}
	var allowed *policy.Denial
	tests := map[string]struct {
		rules []policy.Rule
		want  *policy.Denial
	}{
		"scope":                     {[]policy.Rule{rule(policy.Scope, "a", "b")}, allowed},
		"scope missing":             {[]policy.Rule{rule(policy.Scope, "a", "c", "d")}, lacks("scope a c d", "the token lacks scope c d")},
		"scope of another case":     {[]policy.Rule{rule(policy.Scope, "A")}, lacks("scope A", "the token lacks scope A")},
		"any scope":                 {[]policy.Rule{rule(policy.AnyScope, "c", "b")}, allowed},
		"any scope, none":           {[]policy.Rule{rule(policy.AnyScope, "c", "d")}, lacks("any_scope c d", "the token holds none of the scopes")},
		"audience":                  {[]policy.Rule{rule(policy.Audience, "x", "two")}, allowed},
		"audience, none":            {[]policy.Rule{rule(policy.Audience, "tw")}, denied("audience tw", "the token is for another audience")},
		"issuer":                    {[]policy.Rule{rule(policy.Issuer, "https://issuer.example.com")}, allowed},
		"issuer with a slash":       {[]policy.Rule{rule(policy.Issuer, "https://issuer.example.com/")}, denied("issuer https://issuer.example.com/", "the token is from another issuer")},
		"client":                    {[]policy.Rule{rule(policy.Client, "web", "app")}, allowed},
		"client, other":             {[]policy.Rule{rule(policy.Client, "web")}, denied("client web", "the token was issued to another client")},
		"claim is":                  {[]policy.Rule{claim("tenant", "x", "acme")}, allowed},
		"claim is not":              {[]policy.Rule{claim("tenant", "acm")}, denied("claim tenant acm", "claim tenant has another value")},
		"claim is a number":         {[]policy.Rule{claim("level", "3")}, allowed},
		"claim is a boolean":        {[]policy.Rule{claim("staff", "true")}, allowed},
		"claim contains":            {[]policy.Rule{claim("roles", "admin")}, allowed},
		"claim contains a number":   {[]policy.Rule{claim("roles", "7")}, allowed},
		"claim contains a boolean":  {[]policy.Rule{claim("roles", "false")}, allowed},
		"claim contains no null":    {[]policy.Rule{claim("roles", "null", "<nil>")}, denied("claim roles null <nil>", "claim roles has another value")},
		"claim contains no object":  {[]policy.Rule{claim("roles", "map[a:b]", `{"a":"b"}`)}, denied(`claim roles map[a:b] {"a":"b"}`, "claim roles has another value")},
		"claim by path":             {[]policy.Rule{claim("realm.roles", "r1")}, allowed},
		"claim by pointer":          {[]policy.Rule{claim("/realm/roles/0", "r1")}, allowed},
		"claim absent":              {[]policy.Rule{claim("absent", "x")}, denied("claim absent x", "the token has no claim absent")},
		"claim null":                {[]policy.Rule{claim("null", "<nil>", "null")}, denied("claim null <nil> null", "the token has no claim null")},
		"claim an empty list":       {[]policy.Rule{claim("none", "x")}, denied("claim none x", "the token has no claim none")},
		"claim an object":           {[]policy.Rule{claim("realm", "x")}, denied("claim realm x", "the token has no claim realm")},
		"a rule nobody knows":       {[]policy.Rule{rule("roles", "admin")}, denied("roles admin", "rule roles is not known")},
		"role":                      {[]policy.Rule{rule(policy.Role, "x", "buyer")}, allowed},
		"role, none":                {[]policy.Rule{rule(policy.Role, "buy")}, denied("role buy", "the token holds none of the roles")},
		"actor":                     {[]policy.Rule{rule(policy.Actor, "x", "robot")}, allowed},
		"actor, other":              {[]policy.Rule{rule(policy.Actor, "app", "alice")}, denied("actor app alice", "the token has another actor, or none")},
		"expression":                {[]policy.Rule{expression("is true", true, nil)}, allowed},
		"expression, false":         {[]policy.Rule{expression("is false", false, nil)}, denied("expression is false", "the expression is false")},
		"expression, error":         {[]policy.Rule{expression("fails", true, errors.New("secret"))}, denied("expression fails", "the expression cannot be evaluated for this request")},
		"a rule of a policy":        {[]policy.Rule{{Kind: policy.Client, Values: []string{"x"}, Policy: "staff"}}, &policy.Denial{Kind: policy.Client, Rule: "policy staff: client x", Reason: "the token was issued to another client"}},
		"all hold":                  {[]policy.Rule{rule(policy.Scope, "a"), rule(policy.Client, "app"), claim("tenant", "acme")}, allowed},
		"the first that fails":      {[]policy.Rule{rule(policy.Client, "x"), rule(policy.Issuer, "y")}, denied("client x", "the token was issued to another client")},
		"other rules before scope":  {[]policy.Rule{rule(policy.Scope, "c"), rule(policy.Client, "x")}, denied("client x", "the token was issued to another client")},
		"the first scope that ails": {[]policy.Rule{rule(policy.Scope, "c"), rule(policy.AnyScope, "d")}, lacks("scope c", "the token lacks scope c")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			made, err := policy.New(test.rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, made.Denies(question(holder(t, "a", "b"), nil))); diff != "" {
				t.Errorf("the denial (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientRuleWithoutClient(t *testing.T) {
	made, err := policy.New([]policy.Rule{rule(policy.Client, "app")})
	if err != nil {
		t.Fatal(err)
	}
	if made.Denies(question(&token.Token{}, nil)) == nil {
		t.Error("a token without a client passed a rule about clients")
	}
}

func TestPlaceholdersInClaimRules(t *testing.T) {
	made, err := policy.New([]policy.Rule{claim("tenant", "{request.tenant}"), rule(policy.Client, "app")})
	if err != nil {
		t.Fatal(err)
	}
	for expanded, want := range map[string]bool{"acme": true, "other": false, "": false} {
		expand := func(text string) string { return strings.ReplaceAll(text, "{request.tenant}", expanded) }
		if got := made.Denies(question(holder(t), expand)) == nil; got != want {
			t.Errorf("with tenant %q allowed is %t, want %t", expanded, got, want)
		}
	}
	// A request that leaves out what the rule is made of must not meet a claim
	// that is empty.
	blank, err := policy.New([]policy.Rule{claim("empty", "{request.tenant}")})
	if err != nil {
		t.Fatal(err)
	}
	if blank.Denies(question(holder(t), func(string) string { return "" })) == nil {
		t.Error("an empty placeholder equals an empty claim")
	}
	scopes, err := policy.New([]policy.Rule{rule(policy.Scope, "{request.scope}")})
	if err != nil {
		t.Fatal(err)
	}
	if scopes.Denies(question(holder(t, "a"), func(string) string { return "a" })) == nil {
		t.Error("a scope took a placeholder: callers would choose what is asked of them")
	}
}

func TestNewRefusesWhatEveryoneFulfils(t *testing.T) {
	tests := map[string][]policy.Rule{
		"no rules":             nil,
		"a rule without value": {rule(policy.Scope)},
		"an empty value":       {rule(policy.Scope, "a", "")},
		"a claim without path": {rule(policy.Claim, "a")},
		"a path without claim": {{Kind: policy.Scope, Path: "scope", Values: []string{"a"}}},
		"max_auth_age no age":  {rule(policy.MaxAuthAge, "5m")},
		"an age without rule":  {{Kind: policy.Scope, Values: []string{"a"}, Age: time.Minute}},
		"no expression":        {rule(policy.Expr, "true")},
		"expression elsewhere": {{Kind: policy.Scope, Values: []string{"a"}, Expression: verdict{true, nil}}},
		"the second rule":      {rule(policy.Scope, "a"), rule(policy.Audience)},
	}
	for name, rules := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.New(rules); !errors.Is(err, policy.ErrEmpty) {
				t.Errorf("error %v, want %v", err, policy.ErrEmpty)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	made, err := policy.New([]policy.Rule{rule(policy.Scope, "b", "a"), rule(policy.Client, "x"), rule(policy.AnyScope, "c", "a")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a", "c"}; !slices.Equal(made.Scopes(), want) {
		t.Errorf("scopes %v, want %v", made.Scopes(), want)
	}
}

// A policy is what it was made of, whatever becomes of that.
func TestPolicyIsImmutable(t *testing.T) {
	rules := []policy.Rule{rule(policy.Client, "nobody")}
	made, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	rules[0] = rule(policy.Client, "app")
	if made.Denies(question(holder(t), nil)) == nil {
		t.Error("the caller's list is still the policy's")
	}
}
