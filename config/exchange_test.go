package config

import "testing"

// JSON gets the checks of an exchange that a Caddyfile gets line by line, in its
// legs too.
func TestCheckExchangeJSON(t *testing.T) {
	tests := map[string]struct {
		exchange Exchange
		want     string
	}{
		"actor of both kinds": {Exchange{Actor: &Actor{Self: true, File: "/t"}}, "actor: one of none, self and a file: write one of them"},
		"actor of no kind":    {Exchange{Actor: &Actor{}}, "actor: one of none, self and a file: write one of them"},
		"self of a type":      {Exchange{Actor: &Actor{Self: true, Type: "jwt"}}, "actor: the type is that of a file: leave it out"},
		"half a param":        {Exchange{Params: []Param{{Name: "a"}}}, "param: the value is empty"},
		"reserved param":      {Exchange{Params: []Param{{"scope", "a"}}}, "param: scope is a field that the exchange or the client writes itself"},
		"half a scope_map":    {Exchange{Scope: []string{"a"}, ScopeMap: []ScopePair{{Held: "a"}}}, "scope_map: the value is empty"},
		"accepts nothing":     {Exchange{Accept: &Accept{}}, "accept: the block is empty: write an option in it, or leave it out"},
		"an odd grant":        {Exchange{Grant: "password"}, `grant: unknown grant "password": known: client_credentials, jwt_bearer, local, token_exchange`},
		"a leg's client":      {Exchange{Then: &Exchange{Client: "b"}}, `then: client: unknown client "b": known: gateway`},
		"a leg without one":   {Exchange{Then: &Exchange{}}, "then: client is missing: write client <client>"},
		"a leg's header":      {Exchange{Then: &Exchange{Client: "gateway", Inject: &Inject{Header: "X-A"}}}, "then: inject belongs to the whole exchange: write it outside of then"},
		"the third leg": {
			Exchange{Then: &Exchange{Client: "gateway", Then: &Exchange{Client: "gateway", Resource: []string{"x#y"}}}},
			"then: " + `then: resource: "x#y" is not an absolute URI such as https://api.example.com or urn:example:api; plain names belong in audience`,
		},
		"verify by nobody": {Exchange{Audience: []string{"a"}, Accept: &Accept{Verify: "idp"}}, `accept: verify: unknown issuer "idp": known: main, tenants; an issuer without a block is named by its URL`},
		"a good chain":     {Exchange{RequestedType: "jwt", Then: &Exchange{Grant: "jwt_bearer", Client: "gateway"}}, ""},
	}
	g := mustRead(t, base)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.exchange.Client = "gateway"
			err := (&TokenExchange{Exchange: &tc.exchange}).Check(g)
			want := "token_exchange: " + tc.want
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}
