package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

const serviceGlobal = base + "\nsign {\nissuer https://gateway.example.com/sts\nsubject issuer_scoped\n}"

// JSON gets the checks that a Caddyfile gets line by line.
func TestCheckServiceJSON(t *testing.T) {
	const auth = `"auth":{"method":"tls","value":"a.example.com"}`
	client := func(more string) string {
		return `{"endpoints":["token"],"clients":{"a":{` + auth + more + `}}}`
	}
	for name, tc := range map[string]struct{ config, want string }{
		"good":           {client(`,"grants":["client_credentials"],"audience":["b"]`), ""},
		"null":           {`{"endpoints":["token"],"clients":{"a":null}}`, "token_service: client a: null: write an object, or leave the name out"},
		"endpoint":       {`{"endpoints":["tokens"]}`, `token_service: endpoints: unknown endpoint "tokens": did you mean token? Known: introspect, jwks, metadata, ready, revoke, token`},
		"prefix":         {`{"prefix":"oauth2"}`, `token_service: prefix: "oauth2" is not a path such as /oauth2, which begins with a slash and ends without`},
		"no client":      {`{"endpoints":["revoke"]}`, "token_service: endpoints: revoke answers clients only, and none is named: write client <id> in a block"},
		"unread":         {client(`,"grants":["client_credentials"],"audience":["b"],"opaque":true`), "token_service: client a: opaque gives it references that only introspect turns back: add introspect to endpoints, or leave opaque out"},
		"bad id":         {`{"endpoints":["token"],"clients":{"a b":{` + auth + `}}}`, `token_service: client a b: "a b" is not a client_id: it is visible ASCII without blanks, braces, quotes and backslashes`},
		"no auth":        {`{"endpoints":["token"],"clients":{"a":{}}}`, "token_service: client a: auth is missing: write auth private_key_jwt, auth tls or auth secret_hash, and its value"},
		"no value":       {`{"endpoints":["token"],"clients":{"a":{"auth":{"method":"tls"}}}}`, "token_service: client a: auth: the value is empty"},
		"unknown method": {`{"endpoints":["token"],"clients":{"a":{"auth":{"method":"basic","value":"x"}}}}`, `token_service: client a: auth: unknown method "basic": known: private_key_jwt, secret_hash, tls`},
		"a plain secret": {
			`{"endpoints":["token"],"clients":{"a":{"auth":{"method":"secret_hash","value":"x"}}}}`,
			"token_service: client a: auth: reading secret_hash: it is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash",
		},
		"grant":          {client(`,"grants":["implicit"]`), `token_service: client a: grants: unknown grant "implicit": known: client_credentials, token_exchange`},
		"twice":          {client(`,"grants":["client_credentials"],"audience":["b","b"]`), "token_service: client a: audience: b is written twice"},
		"lifetime":       {client(`,"grants":["client_credentials"],"audience":["b"],"lifetime":3600000000000`), "token_service: client a: lifetime: 1h0m0s is not between 1s and 10m"},
		"unknown issuer": {client(`,"grants":["token_exchange"],"audience":["b"],"subject_type":["access_token"],"subject_issuer":["x"]`), `token_service: client a: subject_issuer: unknown issuer "x": known: main, tenants`},
	} {
		t.Run(name, func(t *testing.T) {
			service := new(TokenService)
			if err := json.Unmarshal([]byte(tc.config), service); err != nil {
				t.Fatal(err)
			}
			err := service.Expand(variables(nil))
			if err == nil {
				err = service.Check(mustRead(t, serviceGlobal))
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A hash may lie in a variable; what it holds is checked, and never shown.
func TestServiceHashInAVariable(t *testing.T) {
	good := "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + strings.Repeat("A", 43)
	for value, fits := range map[string]bool{good: true, "canary-secret": false, "": false} {
		service := &TokenService{Endpoints: []string{"token"}, Clients: map[string]*ServiceClient{"a": {
			Auth: &ServiceAuth{Method: AuthSecretHash, Value: "{env.HASH}"},
		}}}
		err := service.Expand(variables(map[string]string{"env.HASH": value}))
		if err == nil {
			err = service.Check(mustRead(t, serviceGlobal))
		}
		if (err == nil) != fits || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestServiceAddresses(t *testing.T) {
	service := &TokenService{Prefix: "/oidc", Endpoints: []string{EndpointToken, EndpointJWKS}}
	want := sts.Endpoints{Token: "https://gateway.example.com/oidc/token", KeySet: "https://gateway.example.com/oidc/jwks"}
	if got := service.Addresses("https://gateway.example.com/sts"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
