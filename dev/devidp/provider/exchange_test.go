package provider

import (
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// userToken are the fields of alice's token for the API, held by web.
func userToken(changes ...string) url.Values {
	fields := url.Values{
		"sub": {"alice"}, "client_id": {"web"}, "audience": {"https://api.example.com"},
		"scope": {"openid orders:read"}, "lifetime": {"2m"},
	}
	for i := 0; i < len(changes); i += 2 {
		fields.Set(changes[i], changes[i+1])
	}
	return fields
}

// exchangeCase is one request and what must come of it.
type exchangeCase struct {
	subject   url.Values
	form      url.Values
	id, pass  string
	errorCode string
	aud       []any
	scope     string
}

var exchangeCases = map[string]exchangeCase{
	"audience":           {form: url.Values{"audience": {"orders"}, "scope": {"orders:read"}}, aud: []any{"orders"}, scope: "orders:read"},
	"resource":           {form: url.Values{"resource": {"https://billing.example.com"}}, aud: []any{"https://billing.example.com"}, scope: "openid orders:read"},
	"no target":          {aud: []any{"https://api.example.com"}, scope: "openid orders:read"},
	"as a jwt":           {form: url.Values{"audience": {"orders"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}, aud: []any{"orders"}, scope: "openid orders:read"},
	"unknown target":     {form: url.Values{"audience": {"payroll"}}, errorCode: "invalid_target"},
	"wider scope":        {form: url.Values{"audience": {"orders"}, "scope": {"orders:read orders:write"}}, errorCode: "invalid_scope"},
	"expired":            {subject: userToken("lifetime", "-1m"), errorCode: "invalid_request"},
	"no exp":             {subject: userToken("claims", `{"exp":null}`), errorCode: "invalid_request"},
	"foreign key":        {subject: userToken("key", "foreign"), errorCode: "invalid_request"},
	"unsigned":           {subject: userToken("alg", "none"), errorCode: "invalid_request"},
	"foreign issuer":     {subject: userToken("claims", `{"iss":"https://evil.example"}`), errorCode: "invalid_request"},
	"ID token":           {subject: userToken("typ", "JWT"), errorCode: "invalid_request"},
	"no typ":             {subject: userToken("typ", "none"), errorCode: "invalid_request"},
	"actor":              {form: url.Values{"actor_token": {"x"}, "actor_token_type": {tokenTypeAccess}}, errorCode: "invalid_request"},
	"requested ID token": {form: url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:id_token"}}, errorCode: "invalid_request"},
	"another's token":    {id: "stranger", pass: "stranger-secret", form: url.Values{"audience": {"orders"}}, errorCode: "invalid_request"},
	"token for the requester": {
		id: "stranger", pass: "stranger-secret", subject: userToken("audience", "stranger"),
		form: url.Values{"audience": {"orders"}}, aud: []any{"orders"}, scope: "openid orders:read",
	},
}

func TestTokenExchange(t *testing.T) {
	g := start(t, "", nil)
	for name, test := range exchangeCases {
		t.Run(name, func(t *testing.T) {
			if test.subject == nil {
				test.subject = userToken()
			}
			form := url.Values{"grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}, "subject_token": {g.mint(test.subject)}}
			maps.Copy(form, test.form)
			if test.id == "" {
				test.id, test.pass = "gateway", "gateway secret&+"
			}
			answer := g.must(as(g.request(http.MethodPost, pathToken, form), test.id, test.pass))
			members := answer.json(t)
			if text(members, "error") != test.errorCode {
				t.Fatalf("got %d %s, want error %q", answer.status, answer.body, test.errorCode)
			}
			if test.errorCode != "" {
				return
			}
			token := g.decode(text(members, "access_token"))
			got := []any{
				members["issued_token_type"], members["token_type"], members["scope"], token.verified, token.claims["sub"],
				token.claims["client_id"], token.claims["aud"], token.claims["scope"], token.claims["tenant"],
			}
			want := []any{tokenTypeAccess, "Bearer", test.scope, true, "alice", test.id, test.aud, test.scope, "acme"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExchangedTokenEndsWithItsSubject(t *testing.T) {
	g := start(t, "", nil)
	subject := g.mint(userToken("lifetime", "40s"))
	answer := g.asGateway(pathToken, url.Values{
		"grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}, "subject_token": {subject}, "audience": {"orders"},
	})
	exchanged := g.decode(text(answer.json(t), "access_token")).claims["exp"].(float64)
	if original := g.decode(subject).claims["exp"].(float64); exchanged > original {
		t.Errorf("exchanged exp %v lies after the subject's %v", exchanged, original)
	}
}

func TestRevokedTokenIsDead(t *testing.T) {
	g := start(t, "", nil)
	own := text(g.asGateway(pathToken, url.Values{"grant_type": {"client_credentials"}}).json(t), "access_token")
	active := func(token string) any {
		return g.asGateway(pathIntrospect, url.Values{"token": {token}}).json(t)["active"]
	}
	if active(own) != true {
		t.Fatal("a fresh token is not active")
	}
	foreign := g.mint(userToken())
	if status := g.asGateway(pathRevoke, url.Values{"token": {foreign}}).status; status != http.StatusBadRequest || active(foreign) != true {
		t.Errorf("another client's token could be revoked (%d)", status)
	}
	if status := g.asGateway(pathRevoke, url.Values{"token": {own}}).status; status != http.StatusOK {
		t.Fatalf("revocation answered %d", status)
	}
	if active(own) != false {
		t.Error("a revoked token is active")
	}
	answer := g.asGateway(pathToken, url.Values{
		"grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}, "subject_token": {own},
	})
	if answer.status != http.StatusBadRequest {
		t.Errorf("a revoked token was exchanged: %s", answer.body)
	}
	if status := g.asGateway(pathRevoke, url.Values{"token": {"rubbish"}}).status; status != http.StatusOK {
		t.Errorf("revoking rubbish answered %d, RFC 7009 wants 200", status)
	}
}

func TestIntrospection(t *testing.T) {
	g := start(t, "", nil)
	token := g.mint(userToken())
	answer := g.asGateway(pathIntrospect, url.Values{"token": {token}}).json(t)
	got := []any{answer["active"], answer["sub"], answer["username"], answer["client_id"], answer["scope"], answer["token_type"], answer["tenant"]}
	if diff := cmp.Diff([]any{true, "alice", "alice", "web", "openid orders:read", "Bearer", "acme"}, got); diff != "" {
		t.Error(diff)
	}
	dead := g.asGateway(pathIntrospect, url.Values{"token": {g.mint(userToken("lifetime", "-1s"))}}).json(t)
	if diff := cmp.Diff(map[string]any{"active": false}, dead); diff != "" {
		t.Errorf("more than the bare fact about a dead token: %s", diff)
	}
	anonymous := g.must(g.request(http.MethodPost, pathIntrospect, url.Values{"token": {token}, "client_id": {"web"}}))
	if anonymous.status == http.StatusOK {
		t.Errorf("a public client may introspect: %s", anonymous.body)
	}
}

func TestUserinfo(t *testing.T) {
	g := start(t, "", nil)
	ask := func(token string) reply {
		request := g.request(http.MethodGet, pathUserinfo, nil)
		request.Header.Set("Authorization", "Bearer "+token)
		return g.must(request)
	}
	good := ask(g.mint(userToken("scope", "openid email profile"))).json(t)
	want := map[string]any{
		"sub": "alice", "email": "alice@example.com", "email_verified": true, "name": "Alice Doe", "preferred_username": "alice",
	}
	if diff := cmp.Diff(want, good); diff != "" {
		t.Error(diff)
	}
	if status := ask(g.mint(userToken("scope", "orders:read"))).status; status != http.StatusForbidden {
		t.Errorf("without openid: %d", status)
	}
	if bad := ask("rubbish"); bad.status != http.StatusUnauthorized || bad.header.Get("WWW-Authenticate") == "" {
		t.Errorf("rubbish: %d", bad.status)
	}
}
