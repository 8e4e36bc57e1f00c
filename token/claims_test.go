package token_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestLookup(t *testing.T) {
	claims := token.Claims{
		"https://app.example/roles": []any{"admin"},
		"realm_access":              map[string]any{"roles": []any{"a", "b"}},
		"a.b":                       "whole name first",
		"a":                         map[string]any{"b": "second", "c/d": "pointer", "~": "tilde"},
		"null":                      nil,
	}
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
	claims := token.Claims{
		"text": "a", "number": json.Number("42"), "yes": true, "no": false, "null": nil,
		"list":   []any{"a", json.Number("1"), nil, []any{"b"}, map[string]any{"c": "d"}, true},
		"object": map[string]any{"a": json.Number("1")},
	}
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
