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
