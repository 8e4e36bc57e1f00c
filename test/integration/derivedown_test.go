package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway that mints tokens, at a route and as a token service, and takes them at
// its own door.
const derivedOwnCaddyfile = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com orders
			$AGE
		}
		issuer self $SITE {
			audience orders stock
			token_type at+jwt
		}
		sign {
			issuer $SITE
			subject issuer_scoped
		}
		$SEAL
		exchange orders {
			grant local
			audience orders
			scope orders:read
		}
	}
}
(service) {
	auth secret_hash $HASH
	grants client_credentials token_exchange
	subject_type access_token
	subject_issuer main $SITE
	scope orders:read
}
$SITE {
	token_service {
		endpoints jwks metadata token introspect revoke
		client orders {
			import service
			audience stock orders
			actor stock
		}
		client stock {
			import service
			audience orders
		}
	}
	handle /out/* {
		token_auth main
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /in/* {
		token_auth self
		respond in
	}
}
`

// An own is a gateway of derivedOwnCaddyfile and those around it.
type own struct {
	*harness.Gateway

	t        *testing.T
	idp      *harness.AuthServer
	upstream *harness.Upstream
}

func newOwn(t *testing.T, seal string) *own {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, derivedOwnCaddyfile,
		"$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$HASH", harness.ServiceHash(), "$SEAL", seal, "$AGE", "")
	gateway.Await("/out/", idp.Token(nil), http.StatusOK)
	return &own{gateway, t, idp, upstream}
}

// minted is what the upstream got in place of a caller's token.
func (o *own) minted(token string) string {
	o.t.Helper()
	o.Get("/out/", token).Expect(o.t, http.StatusOK)
	return o.upstream.Last(o.t).Bearer()
}

// exchanged is what the token service gives a client in exchange.
func (o *own) exchanged(client, subject, audience string) string {
	o.t.Helper()
	answer := o.Post("/oauth2/token", harness.ExchangeForm(client, subject, "audience", audience)).Expect(o.t, http.StatusOK)
	return answer.AccessToken()
}

// wantGood expects of a token of the gateway's own that all take it, or none.
func (o *own) wantGood(what, token string, good bool) {
	o.t.Helper()
	door, service := http.StatusUnauthorized, http.StatusBadRequest
	if good {
		door, service = http.StatusOK, http.StatusOK
	}
	if got := o.Get("/in/", token).Status; got != door {
		o.t.Errorf("%s at the gateway's own door: %d, want %d", what, got, door)
	}
	client := "orders"
	if harness.Claims(o.t, token)["aud"] == "stock" {
		client = "stock"
	}
	form := harness.ExchangeForm(client, token, "audience", "orders")
	if got := o.Post("/oauth2/token", form).Status; got != service {
		o.t.Errorf("%s as subject token: %d, want %d", what, got, service)
	}
	answer := o.Post("/oauth2/introspect", harness.ServiceForm(client, "token", token)).Expect(o.t, http.StatusOK)
	if got := answer.Members()["active"]; got != good {
		o.t.Errorf("%s is active: %v, want %v", what, got, good)
	}
}

// reload loads a configuration that is another one, but means the same.
func (o *own) reload() {
	o.t.Helper()
	if err := o.Reload(strings.Replace(derivedOwnCaddyfile, "respond in", "header x-reloaded yes\n\t\trespond in", 1)); err != nil {
		o.t.Fatal(err)
	}
}

// What a client revokes at the token service is refused everywhere: at the token
// endpoint, by introspection, and at the gateway's own door.
func TestServiceRevocationIsAnEvent(t *testing.T) {
	t.Parallel()
	o := newOwn(t, "")
	form := harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", "stock", "scope", "orders:read")
	token := o.Post("/oauth2/token", form).Expect(t, http.StatusOK).AccessToken()
	other := o.Post("/oauth2/token", form).Expect(t, http.StatusOK).AccessToken()
	o.wantGood("a token", token, true)
	o.Post("/oauth2/revoke", harness.ServiceForm("orders", "token", token)).Expect(t, http.StatusOK)
	o.wantGood("a revoked token", token, false)
	o.wantGood("another token", other, true)
	o.reload()
	o.wantGood("a revoked token after a reload", token, false)
}

// What the gateway minted from a token ends with it, along a chain as well: every
// node knows of it by the token alone. Nobody else's ends.
func TestMintedTokensEndWithTheirOrigin(t *testing.T) {
	t.Parallel()
	for name, seal := range map[string]string{"plain": "", "sealed": "seal 0123456789abcdef0123456789abcdef-canary"} {
		t.Run(name, func(t *testing.T) {
			o := newOwn(t, seal)
			derived := func(subject string) map[string]string {
				held := o.idp.Token(map[string]any{"sub": subject, "aud": []string{"orders", "https://api.example.com"}})
				first := o.exchanged("orders", held, "stock")
				return map[string]string{
					"what was minted for " + subject: o.minted(held), "the first hop of " + subject: first,
					"the second hop of " + subject: o.exchanged("stock", first, "orders"),
				}
			}
			alices, bobs := derived("alice"), derived("bob")
			for what, token := range alices {
				o.wantGood(what, token, true)
			}
			revoke(t, o.Gateway, `{"kind": "subject", "issuer": "`+o.idp.URL+`", "value": "alice"}`)
			for what, token := range alices {
				o.wantGood(what, token, false)
			}
			for what, token := range bobs {
				o.wantGood(what, token, true)
			}
			o.reload()
			for what, token := range alices {
				o.wantGood(what+" after a reload", token, false)
			}
		})
	}
}

// A link in the middle of a chain takes along what came after it, and nothing of what
// came before.
func TestMintedTokensEndWithALink(t *testing.T) {
	t.Parallel()
	o := newOwn(t, "seal 0123456789abcdef0123456789abcdef-canary")
	held := o.idp.Token(map[string]any{"aud": "orders"})
	first := o.exchanged("orders", held, "stock")
	second := o.exchanged("stock", first, "orders")
	o.Post("/oauth2/revoke", harness.ServiceForm("orders", "token", first)).Expect(t, http.StatusOK)
	o.wantGood("the link", first, false)
	o.wantGood("what came after it", second, false)
	o.wantGood("another one of the same caller", o.exchanged("orders", held, "stock"), true)
}

// Services that compare the tokens of one caller find nothing in common: with a seal
// the origin is another text each time.
func TestOriginOfMintedTokensIsCovered(t *testing.T) {
	t.Parallel()
	o := newOwn(t, "seal 0123456789abcdef0123456789abcdef-canary")
	held := o.idp.Token(map[string]any{"aud": "orders"})
	one, _ := harness.Claims(t, o.exchanged("orders", held, "stock"))["gho"].(string)
	other, _ := harness.Claims(t, o.exchanged("orders", held, "orders"))["gho"].(string)
	if one == "" || len(one) > 90 || one[4:] == other[4:] {
		t.Errorf("the origins are %q and %q", one, other)
	}
}

// What was made of the token of who acts ends with what that was made of.
func TestMintedTokensEndWithTheOriginOfTheirActor(t *testing.T) {
	t.Parallel()
	o := newOwn(t, "seal 0123456789abcdef0123456789abcdef-canary")
	robot := o.idp.Token(map[string]any{"aud": "stock", "sub": "robot", "jti": "robot-1"})
	acts := o.exchanged("stock", robot, "orders")
	held := o.idp.Token(map[string]any{"aud": "orders", "sub": "alice"})
	delegated := func() string {
		form := harness.ExchangeForm("orders", held, "audience", "stock", "actor_token", acts, "actor_token_type", harness.TypeAccessToken)
		return o.Post("/oauth2/token", form).Expect(t, http.StatusOK).AccessToken()
	}
	first := delegated()
	next := o.exchanged("stock", first, "orders")
	revoke(t, o.Gateway, `{"kind": "jti", "issuer": "`+o.idp.URL+`", "value": "robot-1"}`)
	o.wantGood("the actor's token", acts, false)
	o.wantGood("what it acted with", first, false)
	o.wantGood("what was made of that", next, false)
	o.wantGood("another one of the same caller", o.exchanged("orders", held, "stock"), true)
}

// A dry run counts what ends by what it was made of.
func TestMintedTokensAreCounted(t *testing.T) {
	t.Parallel()
	o := newOwn(t, "")
	minted := o.minted(o.idp.Token(map[string]any{"sub": "carol"}))
	o.Get("/in/", minted).Expect(t, http.StatusOK)
	_, answer := order(t, o.Gateway, http.MethodPost, "?dry_run", `{"kind": "subject", "issuer": "`+o.idp.URL+`", "value": "carol"}
		{"kind": "subject", "issuer": "`+o.idp.URL+`", "value": "nobody"}`)
	if ends, _ := answer["ends"].(map[string]any); ends["remembered_tokens"] != 2.0 || ends["issued_tokens"] != 1.0 {
		t.Errorf("a dry run counts %v", answer)
	}
}

// A revocation is kept until nothing is good any more that was made of the token at the
// last moment: max_token_age bounds the token, and not that.
func TestRevocationOutlivesWhatIsDerived(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, derivedOwnCaddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$HASH", harness.ServiceHash(),
		"$SEAL", "", "$AGE", "max_token_age 40s\n\t\t\tleeway 0s")
	gateway.Await("/out/", idp.Token(nil), http.StatusOK)
	for _, body := range []string{
		`{"kind": "subject", "issuer": "main", "value": "alice"}`, `{"kind": "jti", "issuer": "main", "value": "j1"}`,
		`{"kind": "subject", "issuer": "main", "value": "alice", "before": "` + time.Now().Add(-30*time.Second).UTC().Format(time.RFC3339) + `"}`,
		`{"token": "` + idp.Token(map[string]any{"exp": time.Now().Add(time.Minute).Unix()}) + `"}`,
	} {
		least := time.Now().Add(10 * time.Minute)
		status, answer := order(t, gateway, http.MethodPost, "", body)
		if status != http.StatusOK {
			t.Fatalf("%s: %d, %v", body, status, answer)
		}
		made := answer["revocations"].([]any)[0].(map[string]any)
		until, err := time.Parse(time.RFC3339, made["until"].(string))
		if err != nil || until.Before(least) {
			t.Errorf("%s: kept until %s, %v; something may be good until %s", body, made["until"], err, least)
		}
	}
}
