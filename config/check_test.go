package config

import (
	"encoding/json"
	"testing"
)

// base is a good configuration that tests break in one place.
const base = `issuer main https://idp.example.com
issuer tenants https://t1.example.com https://t2.example.com
client gateway {
	issuer main
	client_id gateway
	secret s
}
exchange orders {
	client gateway
	audience orders
}`

func TestCheckAccepts(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "token_cache 1 1",
		"base":  base,
		"client by the URL of a block": base + `
client byurl {
	issuer https://idp.example.com
	client_id a
	secret s
}`,
		"client by a URL that is called only": base + `
client foreign {
	issuer https://other.example.com
	client_id a
	secret s
}
exchange e {
	client foreign
	subject_issuer main https://inline.example.com
}`,
		"bind mtls by the client's certificate": base + `
client byTLS {
	issuer main
	client_id a
	auth tls
	certificate a b
}
exchange e {
	client byTLS
	bind mtls
}
exchange f {
	client byTLS
	bind mtls a b
}
exchange g {
	client gateway
	bind mtls c d
}`,
		"token_endpoint with subject_issuer": base + `
client direct {
	token_endpoint https://idp.example.com/token
	client_id a
	secret s
}
exchange e {
	client direct
	subject_issuer tenants
}`,
	} {
		g := mustRead(t, body)
		if err := g.Expand(variables(nil)); err != nil {
			t.Errorf("%s: expanding: %v", name, err)
		}
		if err := g.Check(); err != nil {
			t.Errorf("%s: checking: %v", name, err)
		}
	}
}

// What no line shows alone: names of other blocks.
func TestCheckLinks(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"client of an unknown issuer": {
			"client c {\nissuer mian\nclient_id a\nsecret s\n}",
			`client c (Testfile:13): issuer: unknown issuer "mian": did you mean main? Known: main, tenants; an issuer without a block is named by its URL`,
		},
		"client of several URLs": {
			"client c {\nissuer tenants\nclient_id a\nsecret s\n}",
			"client c (Testfile:13): issuer tenants (Testfile:3) has several URLs: a client needs an issuer with one URL",
		},
		"client of one of several URLs": {
			"client c {\nissuer https://t2.example.com\nclient_id a\nsecret s\n}",
			"client c (Testfile:13): issuer tenants (Testfile:3) has several URLs: a client needs an issuer with one URL",
		},
		"exchange of an unknown client": {
			"exchange e {\nclient gatevay\n}",
			`exchange e (Testfile:13): client: unknown client "gatevay": did you mean gateway? Known: gateway`,
		},
		"exchange with an unknown subject_issuer": {
			"exchange e {\nclient gateway\nsubject_issuer main other\n}",
			`exchange e (Testfile:13): subject_issuer: unknown issuer "other": known: main, tenants; an issuer without a block is named by its URL`,
		},
		"exchange without subject_issuer": {
			"client direct {\ntoken_endpoint https://idp.example.com/token\nclient_id a\nsecret s\n}\nexchange e {\nclient direct\n}",
			"exchange e (Testfile:18): subject_issuer is missing: client direct (Testfile:13) has a token_endpoint and no issuer, so write whose tokens it may be sent",
		},
		"bind mtls without a certificate": {
			"exchange e {\nclient gateway\nbind mtls\n}",
			"exchange e (Testfile:13): bind: mtls has no certificate to show, and neither has client gateway (Testfile:4): write bind mtls <cert file> <key file>",
		},
		"bind mtls for another certificate than the client's": {
			"client byTLS {\nissuer main\nclient_id a\nauth tls\ncertificate a b\n}\nexchange e {\nclient gateway\nbind mtls a c\nthen {\nclient byTLS\n}\n}",
			"exchange e (Testfile:19): bind: mtls shows another certificate than the one that client byTLS (Testfile:13) proves itself by, and a connection shows one: leave the files out",
		},
		"bind mtls without TLS": {
			"client plain {\ntoken_endpoint http://127.0.0.1:1/token\nclient_id a\nsecret s\n}\nexchange e {\nclient plain\nsubject_issuer main\nbind mtls a c\n}",
			"exchange e (Testfile:18): bind: mtls needs TLS, and the token_endpoint of client plain (Testfile:13) is plain http",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := mustRead(t, base+"\n"+tc.body).Check()
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// JSON gets the checks that a Caddyfile gets line by line.
func TestCheckJSON(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"null":                 {`{"issuers":{"a":null}}`, "issuer a: null: write an object, or leave the name out"},
		"bad name":             {`{"issuers":{"a/b":{"urls":["https://a.example.com"]}}}`, `issuer a/b: "a/b" is not a name: names hold no / * @ { } quotes or blanks`},
		"no URL":               {`{"issuers":{"a":{}}}`, "issuer a: a URL is missing: write issuer <name> <url...>"},
		"plain http":           {`{"issuers":{"a":{"urls":["http://a.example.com"]}}}`, `issuer a: url: the URL "http://a.example.com" is plain http: write https, or use a loopback host`},
		"same URL twice":       {`{"issuers":{"a":{"urls":["https://a.example.com","https://a.example.com"]}}}`, "issuer a: the URL https://a.example.com is written twice"},
		"URL of two":           {`{"issuers":{"a":{"urls":["https://a.example.com"]},"b":{"urls":["https://a.example.com"],"place":"x:1"}}}`, "issuer a and issuer b (x:1) both have the URL https://a.example.com: a URL belongs to one block"},
		"leeway":               {`{"issuers":{"a":{"urls":["https://a.example.com"],"leeway":180000000000}}}`, "issuer a: leeway: 3m0s is not between 0s and 2m"},
		"empty text in a list": {`{"issuers":{"a":{"urls":["https://a.example.com"],"audience":[""]}}}`, "issuer a: audience: the value is empty"},
		"fallback of two":      {`{"issuers":{"a":{"urls":["https://a.example.com","https://b.example.com"],"fallback":["https://c.example.com"]}}}`, "issuer a: fallback needs an issuer with one URL: give each URL a block with its own regions"},
		"fallback twice":       {`{"issuers":{"a":{"urls":["https://a.example.com"],"fallback":["https://a.example.com"]}}}`, "issuer a: fallback: the URL https://a.example.com is written twice"},
		"a place twice":        {`{"issuers":{"a":{"urls":["https://a.example.com"],"status_list":["https://a.example.com","https://a.example.com"]}}}`, "issuer a: status_list: the URL https://a.example.com is written twice"},
		"a place with dots":    {`{"issuers":{"a":{"urls":["https://a.example.com"],"status_list":["https://a.example.com/%2e%2e/"]}}}`, `issuer a: status_list: "https://a.example.com/%2e%2e/" is not the beginning of addresses: write an https URL without query, and without dots, double slashes or encoded ones in its path`},
		"fallback in plain":    {`{"issuers":{"a":{"urls":["https://a.example.com"],"fallback":["http://b.example.com"]}}}`, `issuer a: fallback: the URL "http://b.example.com" is plain http: write https, or use a loopback host`},
		"refresh too short":    {`{"issuers":{"a":{"urls":["https://a.example.com"],"jwks_refresh":1000000}}}`, "issuer a: jwks_refresh: 1ms is too short: write at least 1s"},
		"stale too short":      {`{"issuers":{"a":{"urls":["https://a.example.com"],"jwks_max_stale":"0s"}}}`, "issuer a: jwks_max_stale: 0s is too short: write at least 1s"},
		"stale before refresh": {`{"issuers":{"a":{"urls":["https://a.example.com"],"jwks_refresh":"2h","jwks_max_stale":"1h"}}}`, "issuer a: jwks_max_stale 1h is shorter than jwks_refresh 2h: keys would end before they are renewed"},
		"outbound audience":    {`{"issuers":{"a":{"urls":["https://a.example.com"],"outbound":true,"audience":["api"]}}}`, "issuer a: outbound and audience exclude each other: no token of an outbound issuer is accepted"},
		"shared keys":          {`{"issuers":{"a":{"urls":["https://a.example.com"],"jwks":"https://k.example.com"},"b":{"urls":["https://b.example.com"],"jwks":"https://k.example.com","place":"x:1"}}}`, "issuer a and issuer b (x:1) both have the keys of jwks https://k.example.com: whoever signs for one could sign for the other; give each its own keys, or leave jwks out where discovery finds them"},
		"no client":            {`{"exchanges":{"a":{}}}`, "exchange a: client is missing: write client <client>"},
		"unknown client":       {`{"exchanges":{"a":{"client":"b"}}}`, `exchange a: client: unknown client "b": none is declared`},
		"no header":            {`{"exchanges":{"a":{"client":"b","inject":{"scheme":"Bearer"}}}}`, "exchange a: inject: the header is missing"},
		"no binding":           {`{"exchanges":{"a":{"client":"b","bind":{}}}}`, "exchange a: bind: the kind is missing: write bind dpop or bind mtls"},
		"another binding":      {`{"exchanges":{"a":{"client":"b","bind":"tls"}}}`, `exchange a: bind: unknown binding "tls": did you mean mtls? Known: dpop, mtls`},
		"files for dpop":       {`{"exchanges":{"a":{"client":"b","bind":{"kind":"dpop","certificate":"c","key":"d"}}}}`, "exchange a: bind: dpop makes its own key: leave the files out, or write bind mtls"},
		"half a binding":       {`{"exchanges":{"a":{"client":"b","bind":{"kind":"mtls","key":"d"}}}}`, "exchange a: bind: one of two files is missing: write bind mtls <cert file> <key file>"},
		"no server":            {`{"clients":{"a":{}}}`, "client a: the server is missing: write issuer <issuer> or token_endpoint <url>"},
		"no client_id":         {`{"clients":{"a":{"issuer":"https://a.example.com"}}}`, "client a: client_id is missing: write client_id <id>"},
		"no secret":            {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b"}}}`, "client a: secret is missing: auth basic needs secret <value>"},
		"three secrets":        {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":["c","d","e"]}}}`, "client a: more than two secrets: keep the old one and the new one while they rotate"},
		"one secret twice":     {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":["c","c"]}}}`, "client a: both secrets are the same: keep one line"},
		"no key":               {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","auth":"private_key_jwt"}}}`, "client a: key is missing: auth private_key_jwt needs key <pem or jwk file>"},
		"a key without file":   {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","auth":"private_key_jwt","key":{}}}}`, "client a: key is missing: auth private_key_jwt needs key <pem or jwk file>"},
		"no certificate":       {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","auth":"tls"}}}`, "client a: certificate is missing: auth tls needs certificate <cert file> <key file>"},
		"half a certificate":   {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","auth":"tls","certificate":{"certificate":"c"}}}}`, "client a: certificate: two values are needed: write certificate <cert file> <key file>"},
		"no assertion file":    {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","auth":"federated"}}}`, "client a: assertion_file is missing: auth federated needs assertion_file <path>"},
		"an empty assertion":   {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":["c"],"auth":"secret_jwt","assertion":{}}}}`, "client a: assertion: the block is empty: write an option in it, or leave it out"},
		"a secret for none":    {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":["c"],"auth":"none"}}}`, "client a: secret and auth none exclude each other: secret is for auth basic, post or secret_jwt"},
		"a long assertion":     {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":["c"],"auth":"secret_jwt","assertion":{"lifetime":"6m"}}}}`, "client a: assertion: lifetime: an assertion lives 5m at most: each request has its own"},
		"empty secret":         {`{"clients":{"a":{"issuer":"https://a.example.com","client_id":"b","secrets":[""]}}}`, "client a: secret: the value is empty"},
		"cache":                {`{"token_cache":{"entries":0}}`, `token_cache: entries: "0" is not a number from 1 to 2147483647`},
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
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestCheckDirectives(t *testing.T) {
	type directive interface{ Check(g *Gatehouse) error }
	tests := map[string]struct {
		directive directive
		want      string
	}{
		"auth by name":         {directive: &TokenAuth{Issuers: []string{"main"}}},
		"auth by URL":          {directive: &TokenAuth{Issuers: []string{"https://inline.example.com"}}},
		"require issuer":       {directive: &TokenRequire{Rules: []Rule{{Rule: "issuer", Values: []string{"main", "https://inline.example.com"}}}}},
		"exchange by name":     {directive: &TokenExchange{Name: "orders"}},
		"exchange block":       {directive: &TokenExchange{Exchange: &Exchange{Client: "gateway"}}},
		"auth, none named":     {&TokenAuth{Place: "F:1"}, "token_auth (F:1): several issuers are declared, so name those whose tokens are accepted here: token_auth main tenants"},
		"auth, unknown":        {&TokenAuth{Issuers: []string{"idp"}}, `token_auth: unknown issuer "idp": known: main, tenants; an issuer without a block is named by its URL`},
		"auth, named twice":    {&TokenAuth{Issuers: []string{"main", "main"}}, "token_auth: the issuer main is named twice"},
		"auth, name and URL":   {&TokenAuth{Issuers: []string{"main", "https://idp.example.com"}}, "token_auth: main and https://idp.example.com are the same issuer main: name it once"},
		"auth, bad URL":        {&TokenAuth{Issuers: []string{"http://idp.example.com"}}, `token_auth: issuer: the URL "http://idp.example.com" is plain http: write https, or use a loopback host`},
		"auth, from nothing":   {&TokenAuth{Issuers: []string{"main"}, From: []From{{}}}, `token_auth: from: the source is missing: write header, cookie or query`},
		"auth, from no name":   {&TokenAuth{Issuers: []string{"main"}, From: []From{{Source: "query"}}}, `token_auth: from: the name of the query is missing`},
		"auth, from elsewhere": {&TokenAuth{Issuers: []string{"main"}, From: []From{{Source: "body", Name: "a"}}}, `token_auth: from: unknown source "body": known: cookie, header, query`},
		"auth, from scheme":    {&TokenAuth{Issuers: []string{"main"}, From: []From{{Source: "cookie", Name: "a", Scheme: "Bearer"}}}, `token_auth: from: a cookie has no scheme: leave it out`},
		"auth, from twice":     {&TokenAuth{Issuers: []string{"main"}, From: []From{{Source: "header", Name: "x-a"}, {Source: "header", Name: "X_A"}}}, `token_auth: from: the header X_A is named twice`},
		"auth, no form":        {&TokenAuth{Issuers: []string{"main"}, UserID: &UserID{}}, `token_auth: user_id: the form is missing: write subject, issuer_subject or claim <path>`},
		"auth, no path":        {&TokenAuth{Issuers: []string{"main"}, UserID: &UserID{Form: "claim"}}, `token_auth: user_id: the path of the claim is missing: write claim <path>`},
		"auth, a path":         {&TokenAuth{Issuers: []string{"main"}, UserID: &UserID{Form: "subject", Path: "sub"}}, `token_auth: user_id: only claim has a path`},
		"auth, realm":          {&TokenAuth{Issuers: []string{"main"}, Realm: "a\"b"}, `token_auth: realm: the value holds "\"", which would end the text in a challenge: leave it out`},
		"auth, realm lines":    {&TokenAuth{Issuers: []string{"main"}, Realm: "a\r\nb"}, `token_auth: realm: the value holds a character that is not printable ASCII, which no challenge can hold`},
		"auth, resource":       {&TokenAuth{Issuers: []string{"main"}, Resource: "http://api.example.com"}, `token_auth: resource: the URL "http://api.example.com" is plain http: write https, or use a loopback host`},
		"auth, any and more":   {&TokenAuth{Issuers: []string{"main"}, Audience: []string{"any", "a"}}, "token_auth: audience: any accepts every audience: write it alone, or leave it out"},
		"auth, no binding":     {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{SenderConstrained: []string{}}}, "token_auth: sender_constrained: the list is empty: name dpop, mtls or both, or leave it out"},
		"auth, bad binding":    {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{SenderConstrained: []string{"bearer"}}}, `token_auth: sender_constrained: unknown binding "bearer": known: dpop, mtls`},
		"auth, binding twice":  {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{SenderConstrained: []string{"mtls", "mtls"}}}, "token_auth: sender_constrained: mtls is written twice"},
		"auth, public_url":     {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{PublicURL: []string{"http://api.example.com"}}}, `token_auth: public_url: the URL "http://api.example.com" is plain http: write https, or use a loopback host`},
		"auth, certificate":    {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{ClientCertificate: "dpop"}}, "token_auth: client_certificate: the header dpop carries a credential: a certificate comes in one of its own, such as Client-Cert"},
		"auth, nonce":          {&TokenAuth{Issuers: []string{"main"}, Sender: Sender{DPoPNonce: true, SenderConstrained: []string{"mtls"}}}, "token_auth: dpop_nonce and sender_constrained mtls exclude each other: no DPoP proof is asked for"},
		"require, bad binding": {&TokenRequire{Rules: []Rule{{Rule: "sender_constrained", Values: []string{"tls"}}}}, `token_require: sender_constrained: unknown binding "tls": did you mean mtls? Known: dpop, mtls`},
		"require, no binding":  {&TokenRequire{Rules: []Rule{{Rule: "sender_constrained"}}}, "token_require: sender_constrained: a value is missing: write one or more"},
		"require nothing":      {&TokenRequire{Place: "F:2"}, "token_require (F:2): a rule is missing: write token_require <rule> <value...>, or rules in a block"},
		"require, unknown":     {&TokenRequire{Rules: []Rule{{Rule: "scopes", Values: []string{"a"}}}}, `token_require: unknown rule "scopes": did you mean scope? Known: acr, actor, amr, any_scope, audience, claim, client, expression, issuer, max_auth_age, policy, role, scope, sender_constrained`},
		"require, no value":    {&TokenRequire{Rules: []Rule{{Rule: "scope"}}}, "token_require: scope: a value is missing: write one or more"},
		"require, stray path":  {&TokenRequire{Rules: []Rule{{Rule: "scope", Path: "a", Values: []string{"a"}}}}, "token_require: scope: a path belongs to the rule claim only"},
		"require, no path":     {&TokenRequire{Rules: []Rule{{Rule: "claim", Values: []string{"a"}}}}, "token_require: claim: the path is missing"},
		"require, any":         {&TokenRequire{Rules: []Rule{{Rule: "audience", Values: []string{"any"}}}}, "token_require: audience: any is no audience and requires nothing: name the audiences, or leave the rule out"},
		"require, bad issuer":  {&TokenRequire{Rules: []Rule{{Rule: "issuer", Values: []string{"idp"}}}}, `token_require: issuer: unknown issuer "idp": known: main, tenants; an issuer without a block is named by its URL`},
		"require in shadow":    {directive: &TokenRequire{Shadow: true, Rules: []Rule{{Rule: "max_auth_age", Values: []string{"5m"}}}}},
		"shadow of nothing":    {&TokenRequire{Shadow: true}, "token_require: a rule is missing: write token_require <rule> <value...>, or rules in a block"},
		"two ages":             {&TokenRequire{Rules: []Rule{{Rule: "max_auth_age", Values: []string{"5m", "6m"}}}}, "token_require: max_auth_age: it takes one value: write a rule for each"},
		"two expressions":      {&TokenRequire{Rules: []Rule{{Rule: "expression", Values: []string{"true", "false"}}}}, "token_require: expression: it takes one value: write a rule for each"},
		"a blank expression":   {&TokenRequire{Rules: []Rule{{Rule: "expression", Values: []string{" \n"}}}}, "token_require: expression: the value is empty"},
		"an age in parts":      {&TokenRequire{Rules: []Rule{{Rule: "max_auth_age", Values: []string{"1500ms"}}}}, "token_require: max_auth_age: 1500ms is not a whole number of seconds from 1s on"},
		"require, policy":      {&TokenRequire{Rules: []Rule{{Rule: "policy", Values: []string{"staff"}}}}, `token_require: policy: unknown policy "staff": none is declared`},
		"matcher":              {directive: &TokenMatcher{Rules: []Rule{{Rule: "acr", Values: []string{"gold"}}}}},
		"matcher of nothing":   {&TokenMatcher{Place: "F:4"}, "token matcher (F:4): a rule is missing: write token <rule> <value...>, or rules in a block"},
		"matcher, bad acr":     {&TokenMatcher{Rules: []Rule{{Rule: "acr", Values: []string{"a b"}}}}, `token matcher: acr: "a b" is not an acr value: they are printable ASCII without blank, quote and backslash, each a word of its own`},
		"exchange, none":       {&TokenExchange{}, "token_exchange: the exchange is missing: write token_exchange <name>, or a block with the words of exchange"},
		"exchange, both":       {&TokenExchange{Name: "orders", Exchange: &Exchange{}}, "token_exchange: the name of an exchange and a block exclude each other: write one of them"},
		"exchange, unknown":    {&TokenExchange{Name: "oders", Place: "F:3"}, `token_exchange (F:3): unknown exchange "oders": did you mean orders? Known: orders`},
		"exchange, bad client": {&TokenExchange{Exchange: &Exchange{Client: "b"}}, `token_exchange: client: unknown client "b": known: gateway`},
		"exchange, no client":  {&TokenExchange{Exchange: &Exchange{}}, "token_exchange: client is missing: write client <client>"},
	}
	g := mustRead(t, base)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := tc.directive.Check(g)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// The only issuer of the app needs no naming; with none at all nothing could
// ever pass.
func TestCheckAuthWithoutNames(t *testing.T) {
	if err := new(TokenAuth).Check(mustRead(t, "issuer only https://a.example.com")); err != nil {
		t.Errorf("one issuer: %v", err)
	}
	const want = "token_auth: no issuer: write token_auth <url>, or an issuer block in the global option gatehouse"
	if err := new(TokenAuth).Check(new(Gatehouse)); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestIssuer(t *testing.T) {
	g := mustRead(t, base)
	tests := []struct {
		ref, name string
		ok        bool
	}{
		{"main", "main", true},
		{"https://idp.example.com", "main", true},
		{"https://t2.example.com", "tenants", true},
		{"https://idp.example.com/", "", false}, // iss is compared to the letter
		{"https://other.example.com", "", false},
		{"other", "", false},
	}
	for _, tc := range tests {
		name, issuer, ok := g.Issuer(tc.ref)
		if ok != tc.ok || (ok && (name != tc.name || issuer != g.Issuers[tc.name])) {
			t.Errorf("%s: %q, %v, %v", tc.ref, name, issuer, ok)
		}
	}
}

func TestResolve(t *testing.T) {
	g := mustRead(t, base)
	own := &Exchange{Client: "gateway"}
	if got := (&TokenExchange{Name: "orders"}).Resolve(g); got != g.Exchanges["orders"] {
		t.Errorf("by name: %v", got)
	}
	if got := (&TokenExchange{Exchange: own}).Resolve(g); got != own {
		t.Errorf("block: %v", got)
	}
	if header, scheme := own.Inject.Target(); header != "Authorization" || scheme != "Bearer" {
		t.Errorf("default target: %s %s", header, scheme)
	}
	if header, scheme := (&Inject{Header: "Txn-Token"}).Target(); header != "Txn-Token" || scheme != "" {
		t.Errorf("target: %s %s", header, scheme)
	}
}
