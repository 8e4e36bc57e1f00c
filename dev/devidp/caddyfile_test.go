package devidp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"
)

const fullCaddyfile = `dev_idp http://127.0.0.1:9000 {
	user alice alice-password {
		email alice@example.com
		name "Alice Doe"
		claim tenant acme
		claim roles admin buyer
	}
	client gateway gateway-secret {
		grants client_credentials token_exchange
		scopes orders:read orders:write
		audience https://api.example.com
		targets orders billing
		exchange_from https://api.example.com
	}
	client web {
		grants authorization_code
		redirect http://127.0.0.1:8080/callback
	}
	token_lifetime 2m
	algorithm EdDSA
	faults_token let-me-in
}`

const fullJSON = `{
	"issuer": "http://127.0.0.1:9000",
	"users": [{
		"name": "alice", "password": "alice-password", "email": "alice@example.com", "full_name": "Alice Doe",
		"claims": {"tenant": "acme", "roles": ["admin", "buyer"]}
	}],
	"clients": [
		{
			"id": "gateway", "secret": "gateway-secret", "grants": ["client_credentials", "token_exchange"],
			"scopes": ["orders:read", "orders:write"], "audience": ["https://api.example.com"],
			"targets": ["orders", "billing"], "exchange_from": ["https://api.example.com"]
		},
		{"id": "web", "grants": ["authorization_code"], "redirects": ["http://127.0.0.1:8080/callback"]}
	],
	"token_lifetime": 120000000000,
	"algorithm": "EdDSA",
	"faults_token": "let-me-in"
}`

func TestCaddyfile(t *testing.T) {
	d := new(DevIDP)
	if err := d.UnmarshalCaddyfile(caddyfile.NewTestDispenser(fullCaddyfile)); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(fullJSON), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCaddyfileRefused(t *testing.T) {
	tests := map[string]struct{ block, says string }{
		"unknown option":        {"issuer x", `unrecognized option "issuer" of dev_idp`},
		"unknown user option":   {"user a b {\nphone 1\n}", `unrecognized option "phone" of user`},
		"unknown client option": {"client a b {\nscope x\n}", `unrecognized option "scope" of client`},
		"user without password": {"user a", "wrong argument count"},
		"client with three":     {"client a b c", "wrong argument count"},
		"empty list":            {"client a b {\ngrants\n}", "wrong argument count"},
		"list twice":            {"client a b {\nscopes x\nscopes y\n}", "scopes is there twice"},
		"claim without value":   {"user a b {\nclaim tenant\n}", "wrong argument count"},
		"claim twice":           {"user a b {\nclaim t x\nclaim t y\n}", `claim "t" is there twice`},
		"algorithm twice":       {"algorithm ES256\nalgorithm RS256", "algorithm is there twice"},
		"two algorithms":        {"algorithm ES256 RS256", "wrong argument count"},
		"bad lifetime":          {"token_lifetime soon", "token_lifetime"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			input := "dev_idp http://127.0.0.1:9000 {\n" + test.block + "\n}"
			err := new(DevIDP).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
	for _, input := range []string{"dev_idp", "dev_idp http://127.0.0.1:1 http://127.0.0.1:2"} {
		if err := new(DevIDP).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err == nil {
			t.Errorf("%q was accepted", input)
		}
	}
}
