package config

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"
)

// readGatehouse reads one global option.
func readGatehouse(t *testing.T, body string) (*Gatehouse, error) {
	t.Helper()
	g := new(Gatehouse)
	err := g.UnmarshalCaddyfile(caddyfile.NewTestDispenser(body))
	return g, err
}

// mustRead reads the inside of a global option that must be good.
func mustRead(t *testing.T, body string) *Gatehouse {
	t.Helper()
	g, err := readGatehouse(t, "gatehouse {\n"+body+"\n}")
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	return g
}

func TestReadEveryOption(t *testing.T) {
	got := mustRead(t, `
	issuer main https://idp.example.com/realms/main https://idp.example.com/realms/two {
		audience https://api.example.com orders
		algorithms ES256 EdDSA
		leeway 0s
		trust_ca /etc/ca.pem /etc/ca2.pem
		fetch_timeout 2s
	}
	issuer file http://127.0.0.1:8080 {
		audience any
		jwks https://keys.example.com/set
		fallback http://127.0.0.1:8081 https://eu.example.com
		jwks_refresh 1m
		jwks_max_stale 1h
	}
	issuer called https://called.example.com {
		outbound
	}
	client gateway {
		issuer main
		client_id gateway
		auth post
		secret {env.SECRET}
		timeout 1s
		trust_ca /etc/ca.pem
	}
	client direct {
		token_endpoint https://idp.example.com/token?tenant=a
		client_id gateway
		secret s
	}
	exchange orders {
		grant token_exchange
		client gateway
		subject_issuer main https://other.example.com
		audience orders
		resource https://orders.example.com urn:example:orders
		scope orders:read orders:write
		max_ttl 1m
		cache_entries 7
		inject X-Token Bearer
	}
	token_cache 1000 1MiB`)
	want := &Gatehouse{
		Issuers: map[string]*Issuer{
			"main": {
				URLs:       []string{"https://idp.example.com/realms/main", "https://idp.example.com/realms/two"},
				Audience:   []string{"https://api.example.com", "orders"},
				Algorithms: []string{"ES256", "EdDSA"},
				Leeway:     "0s", TrustCA: []string{"/etc/ca.pem", "/etc/ca2.pem"}, FetchTimeout: "2s",
				Place: "Testfile:3",
			},
			"file": {
				URLs: []string{"http://127.0.0.1:8080"}, Audience: []string{"any"}, JWKS: "https://keys.example.com/set",
				Fallback:    []string{"http://127.0.0.1:8081", "https://eu.example.com"},
				JWKSRefresh: "1m", JWKSMaxStale: "1h", Place: "Testfile:10",
			},
			"called": {URLs: []string{"https://called.example.com"}, Outbound: true, Place: "Testfile:17"},
		},
		Clients: map[string]*Client{
			"gateway": {
				Issuer: "main", ClientID: "gateway", Auth: "post", Secrets: []Secret{"{env.SECRET}"},
				Timeout: "1s", TrustCA: []string{"/etc/ca.pem"}, Place: "Testfile:20",
			},
			"direct": {
				TokenEndpoint: "https://idp.example.com/token?tenant=a", ClientID: "gateway",
				Secrets: []Secret{"s"}, Place: "Testfile:28",
			},
		},
		Exchanges: map[string]*Exchange{
			"orders": {
				Grant: "token_exchange", Client: "gateway", SubjectIssuer: []string{"main", "https://other.example.com"},
				Audience: []string{"orders"}, Resource: []string{"https://orders.example.com", "urn:example:orders"},
				Scope: []string{"orders:read", "orders:write"}, MaxTTL: "1m", CacheEntries: "7",
				Inject: &Inject{Header: "X-Token", Scheme: "Bearer"}, Place: "Testfile:33",
			},
		},
		TokenCache: &TokenCache{Entries: "1000", Bytes: "1MiB", Place: "Testfile:44"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reading every option (-want +got):\n%s", diff)
	}
}

// A second global option continues the first, and sees its names.
func TestSecondBlockContinues(t *testing.T) {
	tests := map[string]struct{ second, want string }{
		"another name": {second: "issuer two https://two.example.com"},
		"same name":    {"issuer one https://three.example.com", "issuer: one is declared already at Testfile:2, at Testfile:2"},
		"same URL": {"issuer two https://one.example.com", "issuer one (Testfile:2) and issuer two (Testfile:2) both have the URL " +
			"https://one.example.com: a URL belongs to one block, at Testfile:2"},
		"same line": {"token_cache 2 2MiB", "token_cache: it is written already at Testfile:3: keep one line, at Testfile:2"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := mustRead(t, "issuer one https://one.example.com\ntoken_cache 1 1MiB")
			err := g.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gatehouse {\n\t" + tc.second + "\n}"))
			switch {
			case tc.want == "" && (err != nil || len(g.Issuers) != 2 || g.TokenCache == nil):
				t.Errorf("continuing: %v, %d issuers, cache %v", err, len(g.Issuers), g.TokenCache)
			case tc.want != "" && (err == nil || err.Error() != tc.want):
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestReadDirectives(t *testing.T) {
	tests := map[string]struct {
		input string
		into  caddyfile.Unmarshaler
		want  caddyfile.Unmarshaler
	}{
		"auth bare": {"token_auth", new(TokenAuth), &TokenAuth{Place: "Testfile:1"}},
		"auth issuers": {
			"token_auth main https://idp.example.com {\n\taudience a b\n}", new(TokenAuth),
			&TokenAuth{Issuers: []string{"main", "https://idp.example.com"}, Audience: []string{"a", "b"}, Place: "Testfile:1"},
		},
		"require short": {
			"token_require claim /realm_access/roles admin {http.request.host}", new(TokenRequire),
			&TokenRequire{
				Rules: []Rule{{Rule: RuleClaim, Path: "/realm_access/roles", Values: []string{"admin", "{http.request.host}"}}},
				Place: "Testfile:1",
			},
		},
		"require block": {
			"token_require {\n\tscope a b\n\tscope c\n\tany_scope d\n\taudience e\n\tissuer main\n\tclient f\n\tclaim g h i\n}", new(TokenRequire),
			&TokenRequire{
				Rules: []Rule{
					{Rule: RuleScope, Values: []string{"a", "b"}},
					{Rule: RuleScope, Values: []string{"c"}},
					{Rule: RuleAnyScope, Values: []string{"d"}},
					{Rule: RuleAudience, Values: []string{"e"}},
					{Rule: RuleIssuer, Values: []string{"main"}},
					{Rule: RuleClient, Values: []string{"f"}},
					{Rule: RuleClaim, Path: "g", Values: []string{"h", "i"}},
				},
				Place: "Testfile:1",
			},
		},
		"exchange name": {"token_exchange orders", new(TokenExchange), &TokenExchange{Name: "orders", Place: "Testfile:1"}},
		"exchange block": {
			"token_exchange {\n\tclient gateway\n\tinject Txn-Token\n}", new(TokenExchange),
			&TokenExchange{
				Exchange: &Exchange{Client: "gateway", Inject: &Inject{Header: "Txn-Token"}, Place: "Testfile:1"},
				Place:    "Testfile:1",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tc.into.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input)); err != nil {
				t.Fatalf("reading: %v", err)
			}
			if diff := cmp.Diff(tc.want, tc.into); diff != "" {
				t.Errorf("reading (-want +got):\n%s", diff)
			}
		})
	}
}

// What every block refuses in the same way. The messages of each option are in
// the golden files of test/adapt.
func TestReadBlockRefuses(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"unknown option":        {"issuer a https://a.example.com {\n\taudiance x\n}", `issuer a: unknown option "audiance": did you mean audience? Known: algorithms, audience, claims, decrypt, fallback, fetch_timeout, introspection, jwks, jwks_max_stale, jwks_refresh, leeway, max_token_age, outbound, require_claims, status_list, token_type, trust_ca, at Testfile:3`},
		"repeated option":       {"issuer a https://a.example.com {\n\tleeway 1s\n\tleeway 2s\n}", "issuer a: leeway is written twice: keep one line, at Testfile:4"},
		"missing value":         {"issuer a https://a.example.com {\n\tjwks\n}", "issuer a: jwks: a value is missing, at Testfile:3"},
		"missing values":        {"issuer a https://a.example.com {\n\taudience\n}", "issuer a: audience: a value is missing: write one or more, at Testfile:3"},
		"empty value":           {"issuer a https://a.example.com {\n\taudience \"\"\n}", "issuer a: audience: the value is empty, at Testfile:3"},
		"one value too many":    {"issuer a https://a.example.com {\n\tjwks a b\n}", `issuer a: jwks: one value too many on the line: "b", at Testfile:3`},
		"block behind a value":  {"issuer a https://a.example.com {\n\tjwks a {\n\t\tb\n\t}\n}", "issuer a: jwks: no block in braces belongs here, at Testfile:3"},
		"empty block behind it": {"issuer a https://a.example.com {\n\tjwks a {\n\t}\n}", "issuer a: jwks: no block in braces belongs here, at Testfile:3"},
		"empty block":           {"issuer a https://a.example.com {\n}", "issuer a: the block is empty: write an option in it, or leave it out, at Testfile:2"},
		"brace alone":           {"issuer a https://a.example.com {\n\t{\n\t}\n}", `issuer a: unknown option "{": known: algorithms, audience, claims, decrypt, fallback, fetch_timeout, introspection, jwks, jwks_max_stale, jwks_refresh, leeway, max_token_age, outbound, require_claims, status_list, token_type, trust_ca, at Testfile:3`},
		"request placeholder":   {"issuer a https://a.example.com {\n\taudience {http.request.host}\n}", "issuer a: audience: {http.request.host} is unknown here: only {env.*} and {file.*} are replaced at load, at Testfile:3"},
		"unclosed placeholder":  {"issuer a https://a.example.com {\n\taudience {env.A\n}", "issuer a: audience: a placeholder lacks its closing brace, at Testfile:3"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := readGatehouse(t, "gatehouse {\n"+tc.body+"\n}")
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A secret is never part of a message, however it is misspelled.
func TestReadNeverShowsSecret(t *testing.T) {
	const canary = "hunter2"
	for _, line := range []string{
		"secret " + canary + " " + canary,
		"secret a" + "{" + canary + "}",
		"secret {env." + canary,
		"secret \"" + canary + "\nx\"",
		"secret " + canary + "\n\tsecret " + canary,
		"secret " + canary + " {\n\t}",
		"secrt " + canary,
		"token_endpoint https://user:" + canary + "@idp.example.com",
		"token_endpoint \"https://user:" + canary + "@idp.example.com/ x\"",
		"token_endpoint https://user:" + canary + "@idp.example.com:port",
		"issuer https://user:" + canary + "@idp.example.com",
	} {
		_, err := readGatehouse(t, "gatehouse {\nclient gateway {\n\t"+line+"\n}\n}")
		switch {
		case err == nil:
			t.Errorf("%s: accepted", line)
		case strings.Contains(err.Error(), canary):
			t.Errorf("%s: the message shows the secret: %v", line, err)
		}
	}
}
