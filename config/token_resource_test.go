package config

import "testing"

func TestWellKnownPath(t *testing.T) {
	for resource, want := range map[string]string{
		"https://api.example.com":          "/.well-known/oauth-protected-resource",
		"https://api.example.com/":         "/.well-known/oauth-protected-resource",
		"https://api.example.com/orders":   "/.well-known/oauth-protected-resource/orders",
		"https://api.example.com/orders/":  "/.well-known/oauth-protected-resource/orders/",
		"https://api.example.com:8443/a/b": "/.well-known/oauth-protected-resource/a/b",
		"https://api.example.com/a%20b":    "/.well-known/oauth-protected-resource/a b",
	} {
		if got := wellKnownPath(resource); got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
}
