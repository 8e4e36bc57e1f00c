package config

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
)

// variables is a replacer that knows env.* and file.* from a table alone.
func variables(values map[string]string) *caddy.Replacer {
	repl := caddy.NewEmptyReplacer()
	repl.Map(func(key string) (any, bool) {
		if !strings.HasPrefix(key, "env.") && !strings.HasPrefix(key, "file.") {
			return nil, false
		}
		return values[key], true
	})
	return repl
}

// Every text of every block is expanded, and checked only then.
func TestExpand(t *testing.T) {
	body := `
	issuer main {env.URL} {
		audience {env.AUD} x-{env.AUD}
		jwks {env.FILE}
		algorithms {env.ALG}
		leeway {env.TIME}
		trust_ca {env.FILE}
		fetch_timeout {env.TIME}
	}
	client c {
		issuer {env.NAME}
		client_id {env.ID}
		auth {env.AUTH}
		secret {file./run/secret}
		timeout {env.TIME}
		trust_ca {env.FILE}
	}
	client d {
		token_endpoint {env.URL}/token
		client_id x
		secret y
	}
	exchange e {
		grant {env.GRANT}
		client {env.C}
		subject_issuer {env.NAME} {env.URL}
		audience {env.AUD}
		resource {env.URL}
		scope {env.SCOPE}
		max_ttl {env.TIME}
		cache_entries {env.COUNT}
		inject {env.HEADER} {env.SCHEME}
	}
	token_cache {env.COUNT} {env.SIZE}`
	values := map[string]string{
		"env.URL": "https://idp.example.com", "env.AUD": "api", "env.FILE": "/f", "env.ALG": "ES256", "env.TIME": "7s",
		"env.NAME": "main", "env.ID": "gw", "env.AUTH": "post", "file./run/secret": "{env.URL}", "env.GRANT": "token_exchange",
		"env.C": "c", "env.SCOPE": "s", "env.COUNT": "7", "env.HEADER": "X-T", "env.SCHEME": "B", "env.SIZE": "1KiB",
	}
	g := mustRead(t, body)
	if err := g.Expand(variables(values)); err != nil {
		t.Fatalf("expanding: %v", err)
	}
	// Only braces from a file are left: what a placeholder yields is a value, and
	// never expanded again.
	want := mustRead(t, strings.NewReplacer(
		"{env.URL}", values["env.URL"], "{env.AUD}", "api", "{env.FILE}", "/f", "{env.ALG}", "ES256", "{env.TIME}", "7s",
		"{env.NAME}", "main", "{env.ID}", "gw", "{env.AUTH}", "post", "{file./run/secret}", "{env.URL}", "{env.GRANT}", "token_exchange",
		"{env.C}", "c", "{env.SCOPE}", "s", "{env.COUNT}", "7", "{env.HEADER}", "X-T", "{env.SCHEME}", "B", "{env.SIZE}", "1KiB",
	).Replace(body))
	// A secret that is all of a file is read again when the file changes.
	want.Clients["c"].SecretFiles = map[int]string{0: "/run/secret"}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("expanding (-want +got):\n%s", diff)
	}
	if err := g.Check(); err != nil {
		t.Errorf("checking what was expanded: %v", err)
	}
}

func TestExpandRefuses(t *testing.T) {
	values := map[string]string{
		"env.HTTP": "http://a.example.com", "env.ANY": "any", "env.LOOP": "{env.LOOP}", "env.LINES": "one\ntwo",
		"env.LATER": "{env.HTTP}",
	}
	client := "client c {\nissuer https://a.example.com\nclient_id a\nsecret "
	tests := map[string]struct{ body, want string }{
		"unset variable":      {"issuer a https://a.example.com {\naudience {env.NO}\n}", "issuer a (Testfile:2): audience: {env.NO} is empty: set the variable, or make the file readable"},
		"unreadable file":     {client + "{file./no}\n}", "client c (Testfile:2): secret: {file./no} is empty: set the variable, or make the file readable"},
		"bad value":           {"issuer a {env.HTTP}", `issuer a (Testfile:2): url: the URL "http://a.example.com" is plain http: write https, or use a loopback host`},
		"any in a variable":   {"issuer a https://a.example.com {\naudience {env.ANY}\n}", "issuer a (Testfile:2): audience: {env.ANY} expands to any: if every audience is meant, write audience any itself"},
		"value like a value":  {"issuer a {env.LATER}", `issuer a (Testfile:2): url: "{env.HTTP}" is not an https URL: write https://…`},
		"secret of two lines": {client + "{env.LINES}\n}", "client c (Testfile:2): secret: the value holds a line break or another control character"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := mustRead(t, tc.body)
			err := g.Expand(variables(values))
			if err == nil {
				err = g.Check()
			}
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestExpandDirectives(t *testing.T) {
	repl := variables(map[string]string{"env.A": "a"})
	auth := &TokenAuth{Issuers: []string{"{env.A}"}, Audience: []string{"{env.A}"}}
	require := &TokenRequire{Rules: []Rule{
		{Rule: "scope", Values: []string{"{env.A}"}},
		{Rule: "claim", Path: "{env.A}", Values: []string{"{http.request.host}", "{env.A}"}},
	}}
	exchange := &TokenExchange{Exchange: &Exchange{Client: "{env.A}"}}
	for _, directive := range []interface {
		Expand(repl *caddy.Replacer) error
	}{auth, require, exchange} {
		if err := directive.Expand(repl); err != nil {
			t.Errorf("%T: %v", directive, err)
		}
	}
	if diff := cmp.Diff(&TokenAuth{Issuers: []string{"a"}, Audience: []string{"a"}}, auth); diff != "" {
		t.Errorf("token_auth (-want +got):\n%s", diff)
	}
	want := &TokenRequire{Rules: []Rule{
		{Rule: "scope", Values: []string{"a"}},
		{Rule: "claim", Path: "a", Values: []string{"{http.request.host}", "{env.A}"}}, // requests fill them
	}}
	if diff := cmp.Diff(want, require); diff != "" {
		t.Errorf("token_require (-want +got):\n%s", diff)
	}
	if exchange.Exchange.Client != "a" {
		t.Errorf("token_exchange: client %s", exchange.Exchange.Client)
	}
	err := (&TokenAuth{Issuers: []string{"{http.request.host}"}, Place: "F:1"}).Expand(repl)
	const refused = "token_auth (F:1): issuer: {http.request.host} is unknown here: only {env.*} and {file.*} are replaced at load"
	if err == nil || err.Error() != refused {
		t.Errorf("got  %v\nwant %s", err, refused)
	}
}
