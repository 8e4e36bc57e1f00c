package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The actor is named by a token of the gateway's own, and both of its fields are
// there (C3).
func TestExchangeC3Actor(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "workload")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("workload.first")
	site := exchangesSite(t, map[string]string{
		"self": "audience a\nactor self", "file": "audience a\nactor file $FILE", "svid": "audience a\nactor file $FILE urn:example:svid",
		"none": "audience a\nactor none",
	}, "$FILE", file)
	last := func() url.Values { forms := site.idp.Forms(); return forms[len(forms)-1] }
	token := func(jti string, changes map[string]any) string {
		return site.idp.Token(merge(map[string]any{"jti": jti}, changes))
	}

	site.Get("/self", token("1", nil)).Expect(t, http.StatusOK)
	forms := site.idp.Forms()
	if len(forms) != 2 || forms[0].Get("grant_type") != "client_credentials" || forms[1].Get("actor_token_type") != accessTokenType ||
		harness.Claims(t, forms[1].Get("actor_token"))["client_id"] != "gateway" {
		t.Errorf("the requests are %v", forms)
	}
	site.Get("/self", token("2", nil)).Expect(t, http.StatusOK)
	if n := len(site.idp.Forms()); n != 3 {
		t.Errorf("%d requests, want 3: the actor's token is remembered", n)
	}

	site.Get("/file", token("3", nil)).Expect(t, http.StatusOK)
	if form := last(); form.Get("actor_token") != "workload.first" || form.Get("actor_token_type") != jwtType {
		t.Errorf("the request is %v", form)
	}
	write("workload.second.longer")
	site.Get("/svid", token("4", nil)).Expect(t, http.StatusOK)
	if form := last(); form.Get("actor_token") != "workload.second.longer" || form.Get("actor_token_type") != "urn:example:svid" {
		t.Errorf("the request is %v", form)
	}
	site.Get("/none", token("5", nil)).Expect(t, http.StatusOK)
	if form := last(); form.Has("actor_token") || form.Has("actor_token_type") {
		t.Errorf("the request is %v", form)
	}
}

// may_act says who may act, and a chain of actors has an end.
func TestExchangeDelegation(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"self": "audience a\nactor self", "none": "audience a"})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		changes := map[string]any{}
		if form.Get("grant_type") == "client_credentials" {
			changes["access_token"] = site.idp.Token(map[string]any{"sub": "gateway", "client_id": "gateway", "scope": nil, "jti": nil})
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, changes))
	})
	chain := func(length int) any {
		var act map[string]any
		for i := range length {
			next := map[string]any{"sub": fmt.Sprint("service", i)}
			if act != nil {
				next["act"] = act
			}
			act = next
		}
		return act
	}
	tests := map[string]struct {
		path   string
		claims map[string]any
		status int
	}{
		"may_act names the gateway":             {"/self", map[string]any{"may_act": map[string]any{"sub": "gateway"}}, 200},
		"may_act with its issuer":               {"/self", map[string]any{"may_act": map[string]any{"sub": "gateway", "iss": site.idp.URL}}, 200},
		"may_act of another issuer":             {"/self", map[string]any{"may_act": map[string]any{"sub": "gateway", "iss": "https://x"}}, 403},
		"may_act names another":                 {"/self", map[string]any{"may_act": map[string]any{"sub": "other"}}, 403},
		"may_act with a member nobody has":      {"/self", map[string]any{"may_act": map[string]any{"sub": "gateway", "x": "y"}}, 403},
		"may_act is empty":                      {"/self", map[string]any{"may_act": map[string]any{}}, 403},
		"may_act is a text":                     {"/self", map[string]any{"may_act": "gateway"}, 403},
		"may_act is null":                       {"/self", map[string]any{"may_act": nil, "sub": "carol"}, 200}, // tokentest leaves nil out
		"may_act matters to actors alone":       {"/none", map[string]any{"may_act": map[string]any{"sub": "other"}}, 200},
		"the actor is the caller":               {"/self", map[string]any{"sub": "gateway"}, 403},
		"three actors, and the gateway is four": {"/self", map[string]any{"act": chain(3)}, 200},
		"four actors, and the gateway is five":  {"/self", map[string]any{"act": chain(4)}, 403},
		"four actors":                           {"/none", map[string]any{"act": chain(4)}, 200},
		"five actors":                           {"/none", map[string]any{"act": chain(5)}, 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(site.idp.Forms())
			got := site.Get(test.path, site.idp.Token(merge(map[string]any{"jti": name}, test.claims))).Expect(t, test.status)
			if test.status == http.StatusOK {
				return
			}
			if problem := problemOf(t, got); problem["error"] != "access_denied" {
				t.Errorf("told %v", problem)
			}
			for _, form := range site.newForms(before) {
				if form.Has("subject_token") {
					t.Error("the caller's token was sent all the same")
				}
			}
		})
	}
}

// A token for nobody in particular: only where the exchange says so, also where no
// token_auth asks anybody.
func TestExchangeAnonymous(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
`+openExchange+`		exchange header {
			grant client_credentials
			client gateway
			scope_exact catalogue:read
			anonymous
			inject X-Token
		}
		exchange closed {
			grant client_credentials
			client gateway
			scope_exact catalogue:read
		}
	}
}
$SITE {
	handle /open {
		token_exchange open
		reverse_proxy $UPSTREAM
	}
	handle /header {
		token_exchange header
		reverse_proxy $UPSTREAM
	}
	handle /closed {
		token_exchange closed
		reverse_proxy $UPSTREAM
	}
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	for range 2 {
		gateway.Get("/open", "").Expect(t, http.StatusOK)
	}
	if claims := harness.Claims(t, upstream.Last(t).Bearer()); claims["scope"] != "catalogue:read" {
		t.Errorf("the upstream got %v", claims)
	}
	// What a caller brings is not passed on, though nobody looked at it.
	for _, path := range []string{"/open", "/header"} {
		gateway.Get(path, "canary-somebodys-token").Expect(t, http.StatusOK)
		if upstream.Last(t).Holds("canary-somebodys-token") {
			t.Errorf("%s: the upstream got the caller's credential", path)
		}
	}
	reached := len(upstream.Received())
	gateway.Get("/closed", "").Expect(t, http.StatusInternalServerError)
	if len(upstream.Received()) != reached {
		t.Error("the upstream was reached")
	}
	if len(gateway.Lines("exchange serves callers without a token")) != 2 {
		t.Error("no warning at load")
	}
}
