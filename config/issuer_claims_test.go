package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestCheckIssuerContentJSON(t *testing.T) {
	tests := map[string]struct{ options, want string }{
		"good":           {`"token_type":["at+jwt","absent"],"max_token_age":"1h","require_claims":["a.b"],"claims":{"roles":["/a/b"]}`, ""},
		"secrets":        {`"algorithms":["HS256"],"jwks":"/secrets.json"`, ""},
		"type":           {`"token_type":["dpop+jwt"]`, "token_type: dpop+jwt is the type of another kind of JWT, which gives access to nothing"},
		"transaction":    {`"token_type":["TxnToken+JWT"]`, "token_type: TxnToken+JWT is the type of another kind of JWT, which gives access to nothing"},
		"empty type":     {`"token_type":[""]`, "token_type: the value is empty"},
		"type twice":     {`"token_type":["JWT","jwt"]`, `token_type: "jwt" is written twice`},
		"age":            {`"max_token_age":0`, "max_token_age: 0s is too short: write more than 0s"},
		"required":       {`"require_claims":["a",""]`, "require_claims: the value is empty"},
		"no claims":      {`"claims":{}`, "claims: the block is empty: write an option in it, or leave it out"},
		"subject path":   {`"claims":{"subject":"/~"}`, `claims: subject: "/~" is not a JSON Pointer: ~ is written ~0`},
		"empty path":     {`"claims":{"scope":[""]}`, "claims: scope: the value is empty"},
		"path twice":     {`"claims":{"client":["a","a"]}`, `claims: client: "a" is written twice`},
		"mixed":          {`"algorithms":["ES256","HS384"],"jwks":"/secrets.json"`, "algorithms: HS384 signs with a shared secret and ES256 with a key pair: one issuer has one kind of key"},
		"secret by URL":  {`"algorithms":["HS256"],"jwks":"https://a.example.com/jwks"`, "algorithms: HS256 signs with a shared secret, which is never fetched: write jwks <file>, with oct keys in it"},
		"secret nowhere": {`"algorithms":["HS512"]`, "algorithms: HS512 signs with a shared secret: write jwks <file>, with oct keys in it"},
		"from variables": {`"algorithms":["{env.ALG}"],"jwks":"{env.JWKS}"`, "algorithms: HS256 signs with a shared secret, which is never fetched: write jwks <file>, with oct keys in it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var g Gatehouse
			if err := json.Unmarshal([]byte(`{"issuers":{"a":{"urls":["https://a.example.com"],`+tc.options+`}}}`), &g); err != nil {
				t.Fatal(err)
			}
			err := g.Expand(variables(map[string]string{"env.ALG": "HS256", "env.JWKS": "https://a.example.com/jwks"}))
			if err == nil {
				err = g.Check()
			}
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "issuer a: ")
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestIssuerContent(t *testing.T) {
	var plain Issuer
	if plain.AcceptedTypes() != nil || !cmp.Equal(plain.ClaimPaths(), token.ClaimPaths{}) || plain.UsesSecrets() {
		t.Error("an empty block says something")
	}
	written := Issuer{TokenType: []string{"application/AT+JWT", "absent"}, Claims: &IssuerClaims{Subject: "s", Scope: []string{"a"}, Client: []string{"b"}, Roles: []string{"c"}}}
	if diff := cmp.Diff([]string{"at+jwt", ""}, written.AcceptedTypes()); diff != "" {
		t.Error(diff)
	}
	want := token.ClaimPaths{Subject: "s", Scope: []string{"a"}, Client: []string{"b"}, Roles: []string{"c"}}
	if diff := cmp.Diff(want, written.ClaimPaths()); diff != "" {
		t.Error(diff)
	}
}
