package token_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func parseClaims(t *testing.T, text string) token.Claims {
	t.Helper()
	claims, err := token.ParseClaims([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestLookup(t *testing.T) {
	claims := parseClaims(t, `{
		"https://app.example/roles": ["admin"],
		"realm_access": {"roles": ["a", "b"]},
		"a.b": "whole name first",
		"a": {"b": "second", "c/d": "pointer", "~": "tilde"},
		"null": null
	}`)
	tests := map[string]struct {
		want  any
		found bool
	}{
		"https://app.example/roles": {[]any{"admin"}, true},
		"realm_access.roles":        {[]any{"a", "b"}, true},
		"realm_access.roles.1":      {"b", true},
		"realm_access.roles.01":     {nil, false},
		"realm_access.roles.2":      {nil, false},
		"realm_access.roles.-":      {nil, false},
		"a.b":                       {"whole name first", true},
		"/a/b":                      {"second", true},
		"/a/c~1d":                   {"pointer", true},
		"/a/~0":                     {"tilde", true},
		"/realm_access/roles/0":     {"a", true},
		"null":                      {nil, true},
		"null.x":                    {nil, false},
		"a.b.c":                     {nil, false},
		"missing":                   {nil, false},
		"":                          {nil, false},
		"/":                         {nil, false},
	}
	for path, test := range tests {
		t.Run(path, func(t *testing.T) {
			got, found := claims.Lookup(path)
			if found != test.found || !cmp.Equal(got, test.want) {
				t.Errorf("got %v, %v", got, found)
			}
		})
	}
}

func TestTexts(t *testing.T) {
	claims := parseClaims(t, `{
		"text": "a", "number": 42, "yes": true, "no": false, "null": null,
		"list": ["a", 1, null, ["b"], {"c": "d"}, true],
		"object": {"a": 1}
	}`)
	for path, want := range map[string][]string{
		"text": {"a"}, "number": {"42"}, "yes": {"true"}, "no": {"false"}, "null": {},
		"list": {"a", "1", "true"}, "object": {}, "missing": nil,
	} {
		t.Run(path, func(t *testing.T) {
			if got := claims.Texts(path); !cmp.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// Nothing is decided by former actors (RFC 8693, section 4.1), whatever way a path takes.
// The record has them all.
func TestLookupWithoutFormerActors(t *testing.T) {
	claims := parseClaims(t, `{
		"act": {"sub": "current", "x": {"act": "no actor"}, "act": {"sub": "former", "act": {"sub": "first"}}},
		"act.x": "whole name", "tenant": {"act": {"act": "no actor"}}
	}`)
	current := map[string]any{"sub": "current", "x": map[string]any{"act": "no actor"}}
	for path, want := range map[string]any{
		"act": current, "/act": current, "act.sub": "current", "/act/sub": "current", "act.x": "whole name", "act.x.act": "no actor",
		"/act/x/act": "no actor", "tenant.act.act": "no actor",
		"act.act": nil, "/act/act": nil, "act.act.sub": nil, "/act/act/sub": nil, "act.act.act.sub": nil, "/act/act/act/sub": nil,
	} {
		got, found := claims.Lookup(path)
		if found != (want != nil) || !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", path, got, found, want)
		}
		if former := want == nil; former != (claims.Texts(path) == nil) || former != token.FormerActor(path) {
			t.Errorf("%s: texts %v, leads to a former actor: %t", path, claims.Texts(path), token.FormerActor(path))
		}
	}
	whole := map[string]any{"sub": "former", "act": map[string]any{"sub": "first"}}
	for range 2 {
		act, _ := claims.Get("act")
		if got := act.(map[string]any)["act"]; !cmp.Equal(got, any(whole)) {
			t.Errorf("the record lacks former actors: %v", act)
		}
	}
}
