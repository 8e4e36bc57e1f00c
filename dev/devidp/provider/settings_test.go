package provider

import (
	"errors"
	"strings"
	"testing"
)

func TestSettingsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(*Settings)
		says   string
	}{
		"remote issuer":         {func(s *Settings) { s.Issuer = "https://idp.example.com" }, "not on a loopback host"},
		"rebinding issuer":      {func(s *Settings) { s.Issuer = "http://localhost.example.com" }, "not on a loopback host"},
		"no issuer":             {func(s *Settings) { s.Issuer = "" }, "not an http or https URL"},
		"slash":                 {func(s *Settings) { s.Issuer += "/" }, "slash at its end"},
		"algorithm":             {func(s *Settings) { s.Algorithm = "HS256" }, `"HS256"`},
		"lifetime":              {func(s *Settings) { s.TokenLifetime = 1 }, "token_lifetime"},
		"user without password": {func(s *Settings) { s.Users[0].Password = "" }, "needs a name and a password"},
		"user twice":            {func(s *Settings) { s.Users = append(s.Users, s.Users[0]) }, "twice"},
		"reserved claim":        {func(s *Settings) { s.Users[0].Claims["iss"] = "me" }, `claim "iss"`},
		"client twice":          {func(s *Settings) { s.Clients = append(s.Clients, s.Clients[0]) }, "twice"},
		"client without id":     {func(s *Settings) { s.Clients[0].ID = "" }, "id is required"},
		"unknown grant":         {func(s *Settings) { s.Clients[0].Grants = []string{"implicit"} }, `grant "implicit"`},
		"public machine":        {func(s *Settings) { s.Clients[0].Secret = "" }, "needs a client with a secret"},
		"code without redirect": {func(s *Settings) { s.Clients[2].Redirects = nil }, "needs a redirect"},
		"remote redirect":       {func(s *Settings) { s.Clients[2].Redirects[0] = "https://app.example.com/" }, "loopback"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			settings := testSettings("http://127.0.0.1:9000")
			if err := settings.Validate(); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			test.change(&settings)
			err := settings.Validate()
			if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

func TestLoopbackNames(t *testing.T) {
	tests := map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "localhost.": true, "idp.localhost:9000": true,
		"127.0.0.1": true, "127.9.8.7:1": true, "[::1]:9000": true, "::1": true, "[::ffff:127.0.0.1]:1": true,
		"": false, "0.0.0.0": false, "[::]:80": false, "10.0.0.1": false, "192.0.2.1:80": false, "example.com": false,
		"localhost.example.com": false, "127.0.0.1.nip.io": false, "notlocalhost": false, "2130706433": false, "127.1": false,
	}
	for host, want := range tests {
		if got := IsLoopbackName(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestLoopbackAddresses(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"": false, "localhost:80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "@": false,
	}
	for address, want := range tests {
		if got := IsLoopbackAddr(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestLoadingMakesNoKey(t *testing.T) {
	state := NewState("RS256")
	settings := testSettings("http://127.0.0.1:9000")
	settings.Algorithm = "RS256"
	if _, err := New(settings, state); err != nil {
		t.Fatal(err)
	}
	if len(state.keys.keys) != 0 {
		t.Error("a key was made before it was needed")
	}
}
