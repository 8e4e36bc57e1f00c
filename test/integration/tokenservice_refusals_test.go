package integration_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// servedByKeys is a token service for one client that proves itself by keys at a URL,
// and a gateway that mints tokens of two kinds for it.
const servedByKeys = `{
	gatehouse {
		issuer main $IDP {
			audience orders
		}
		sign {
			issuer $SITE
			subject plain
		}
		exchange access {
			grant local
			audience orders
			scope billing:read
		}
		exchange transaction {
			grant local
			type txn
			audience orders
			scope billing:read
		}
	}
}
$SITE {
	token_service {
		endpoints jwks token
		client orders {
			auth private_key_jwt $KEYS
			grants client_credentials token_exchange
			subject_issuer main $SITE
			subject_type access_token
			audience stock
			scope billing:read
		}
	}
	token_auth main
	handle /access {
		token_exchange access
		reverse_proxy $UPSTREAM
	}
	handle /transaction {
		token_exchange transaction
		reverse_proxy $UPSTREAM
	}
	respond front
}
`

type keyedService struct {
	*harness.Gateway

	idp, client *harness.AuthServer
	upstream    *harness.Upstream
}

// newKeyed makes what one needs whose client's keys are at a path of a server of the client's.
func newKeyed(t *testing.T) keyedService {
	t.Helper()
	s := keyedService{idp: harness.NewAuthServer(t), client: harness.NewAuthServer(t), upstream: harness.NewUpstream(t)}
	s.client.Handle("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tokentest.Set(s.client.Key)) })
	return s
}

func (s keyedService) start(t *testing.T) keyedService {
	t.Helper()
	s.Gateway = harness.Start(t, servedByKeys, "$IDP", s.idp.URL, "$KEYS", s.client.URL+"/keys", "$UPSTREAM", s.upstream.Address)
	s.Await("/", s.idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	return s
}

// ask sends a form with an assertion that a key signs, in the client's name.
func (s keyedService) ask(key *tokentest.Key, id string, form url.Values) harness.Answer {
	form.Del("client_secret")
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", key.Sign(map[string]any{"typ": "client-authentication+jwt"}, map[string]any{
		"iss": "orders", "sub": "orders", "aud": s.URL, "jti": id, "exp": time.Now().Add(time.Minute).Unix(),
	}))
	return s.Post("/oauth2/token", form)
}

func ownGrant() url.Values {
	return harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", "stock")
}

// A client proves itself by the keys that it publishes. While those never came, nobody
// can tell who asks: that is no refusal of the client, and mends itself.
func TestServiceClientKeysByURL(t *testing.T) {
	t.Parallel()
	s := newKeyed(t)
	s.client.Fail(http.StatusInternalServerError)
	s = s.start(t)
	dead := s.ask(s.client.Key, "while-the-keys-are-away", ownGrant()).Expect(t, http.StatusServiceUnavailable)
	if seconds, err := strconv.Atoi(dead.Header.Get("Retry-After")); err != nil || seconds < 1 || dead.Members()["error"] != "temporarily_unavailable" {
		t.Errorf("Retry-After %q, %s", dead.Header.Get("Retry-After"), dead.Body)
	}
	s.client.Fail(0)
	attempt := 0
	var good harness.Answer
	harness.Eventually(t, "the client's keys", func() bool {
		attempt++
		good = s.ask(s.client.Key, "good-attempt-"+strconv.Itoa(attempt), ownGrant())
		return good.Status == http.StatusOK
	})
	if claims := harness.Claims(t, good.AccessToken()); claims["sub"] != "client:orders" || claims["aud"] != "stock" {
		t.Errorf("the token says %v", claims)
	}
	// An assertion is good once, and another's key is nobody's.
	again := s.ask(s.client.Key, "good-attempt-"+strconv.Itoa(attempt), ownGrant()).Expect(t, http.StatusUnauthorized)
	stranger := s.ask(tokentest.NewKey(t, "ES256", "k1"), "of-a-stranger", ownGrant()).Expect(t, http.StatusUnauthorized)
	if again.Members()["error"] != "invalid_client" || stranger.Members()["error"] != "invalid_client" {
		t.Errorf("%s, %s", again.Body, stranger.Body)
	}
	// Keys that came serve on while the client's server is down.
	s.client.Fail(http.StatusInternalServerError)
	s.ask(s.client.Key, "after-the-keys-came", ownGrant()).Expect(t, http.StatusOK)
}

// S16: no user is a client, whatever an issuer calls him. S17: what is for one request
// inside is no access token, though this gateway signed it.
func TestS16S17WhatIsNoSubject(t *testing.T) {
	t.Parallel()
	s := newKeyed(t).start(t)
	user := s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read"})
	s.Get("/access", user).Expect(t, http.StatusOK)
	access := s.upstream.Last(t).Bearer()
	s.Get("/transaction", user).Expect(t, http.StatusOK)
	transaction := s.upstream.Last(t).Header.Get("Txn-Token")
	if typ := harness.Header(t, transaction)["typ"]; typ != "txntoken+jwt" || harness.Claims(t, transaction)["aud"] != "orders" {
		t.Fatalf("the transaction token is a %v", typ)
	}
	exchanged := func(id, subject string) harness.Answer {
		return s.ask(s.client.Key, "subject-token-"+id, harness.ExchangeForm("orders", subject, "audience", "stock"))
	}
	harness.Eventually(t, "the client's keys", func() bool {
		return s.ask(s.client.Key, time.Now().Format(time.RFC3339Nano), ownGrant()).Status == http.StatusOK
	})
	for name, good := range map[string]string{"user": user, "access": access} {
		if claims := harness.Claims(t, exchanged(name, good).Expect(t, http.StatusOK).AccessToken()); claims["sub"] != "alice" {
			t.Errorf("%s: the token says %v", name, claims)
		}
	}
	for name, bad := range map[string]string{
		"client":      s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read", "sub": "client:orders"}),
		"other":       s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read", "sub": "client:nobody"}),
		"service":     s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read", "sub": s.URL}),
		"transaction": transaction,
	} {
		answer := exchanged(name, bad).Expect(t, http.StatusBadRequest)
		if answer.Members()["error"] != "invalid_request" || answer.AccessToken() != "" {
			t.Errorf("%s: %s", name, answer.Body)
		}
	}
	harness.Eventually(t, "four refusals in the audit trail", func() bool {
		refused := 0
		for _, line := range s.Audit() {
			if line["directive"] == "token_service" && line["rule"] == "subject_refused" {
				refused++
			}
		}
		return refused == 4
	})
}
