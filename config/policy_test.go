package config

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCheckPolicies(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"good": {`{"policies": {"a": {"rules": [{"rule": "policy", "values": ["b", "c"]}]}, "b": {"rules": [{"rule": "policy", "values": ["c"]}]},
			"c": {"rules": [{"rule": "scope", "values": ["x"]}]}}}`, ""},
		"null":       {`{"policies": {"a": null}}`, "policy a: null: write an object, or leave the name out"},
		"nothing":    {`{"policies": {"a": {}}}`, "policy a: a rule is missing: write policy <name> and the rules in a block"},
		"name":       {`{"policies": {"a/b": {"rules": [{"rule": "scope", "values": ["x"]}]}}}`, `policy a/b: "a/b" is not a name: names hold no / * @ { } quotes or blanks`},
		"of itself":  {`{"policies": {"a": {"rules": [{"rule": "policy", "values": ["a"]}]}}}`, "policy a: policies use each other in a circle: a -> a"},
		"bad rule":   {`{"policies": {"a": {"rules": [{"rule": "shadow", "values": ["a"]}]}}}`, `policy a: unknown rule "shadow": known: acr, actor, amr, any_scope, audience, claim, client, expression, issuer, max_auth_age, policy, role, scope, sender_constrained`},
		"not itself": {`{"policies": {"a": {"rules": [{"rule": "policy", "values": ["b"]}]}}}`, `policy a: policy: unknown policy "b": known: a`},
		"a long way": {`{"policies": {"a": {"rules": [{"rule": "policy", "values": ["c"]}]}, "b": {"rules": [{"rule": "scope", "values": ["x"]}, {"rule": "policy", "values": ["c"]}]},
			"c": {"rules": [{"rule": "policy", "values": ["d"]}]}, "d": {"rules": [{"rule": "policy", "values": ["c"]}]}}}`, "policy c: policies use each other in a circle: c -> d -> c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var g Gatehouse
			if err := json.Unmarshal([]byte(tc.config), &g); err != nil {
				t.Fatal(err)
			}
			err := g.Expand(variables(nil))
			if err == nil {
				err = g.Check()
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A second block continues the first, and what requests fill stays as it is.
func TestReadPolicies(t *testing.T) {
	g := mustRead(t, "policy a {\nmax_auth_age {env.AGE}\nexpression {env.AGE} == \"x\"\nclaim t {http.request.host}\n}\npolicy b {\npolicy a\n}")
	if err := g.Expand(variables(map[string]string{"env.AGE": "90s"})); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	rules := g.Policies["a"].Rules
	if age := rules[0].MaxAge(); age != 90*time.Second || rules[1].MaxAge() != 0 {
		t.Errorf("the age is %s", age)
	}
	want := []string{`{env.AGE} == "x"`, "{http.request.host}"}
	if diff := cmp.Diff(want, []string{rules[1].Values[0], rules[2].Values[0]}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a"}, g.Policies["b"].Uses()); diff != "" {
		t.Error(diff)
	}
}
