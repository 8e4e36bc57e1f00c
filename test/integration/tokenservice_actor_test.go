package integration_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// servedActors is the token service of served, where orders may act with robot's tokens.
var servedActors = strings.Replace(served, "scope billing:read orders:read\n", "scope billing:read orders:read\nactor robot\n", 1)

func startActors(t *testing.T) (*harness.Gateway, *harness.AuthServer) {
	t.Helper()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, servedActors, "$IDP", idp.URL, "$HASH", harness.ServiceHash())
	gateway.Await("/front", idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	return gateway, idp
}

// robotToken is a token of who acts, with changes.
func robotToken(idp *harness.AuthServer, changes map[string]any) string {
	all := map[string]any{"aud": "orders", "sub": "robot-7", "client_id": "robot", "jti": "robot-token"}
	maps.Copy(all, changes)
	return idp.Token(all)
}

// Who owns the actor token acts; one that is not good is as bad as a bad subject's.
func TestServiceActorToken(t *testing.T) {
	t.Parallel()
	gateway, idp := startActors(t)
	subject := idp.Token(map[string]any{"aud": "orders", "scope": "billing:read"})
	send := func(actor, kind string) harness.Answer {
		return gateway.Post("/oauth2/token", harness.ExchangeForm("orders", subject, "audience", "stock", "actor_token", actor, "actor_token_type", kind))
	}
	answer := send(robotToken(idp, nil), harness.TypeAccessToken).Expect(t, http.StatusOK)
	claims := harness.Claims(t, answer.AccessToken())
	want := map[string]any{"iss": idp.URL, "sub": "robot-7", "client_id": "robot"}
	if diff := cmp.Diff(any(want), claims["act"]); diff != "" || claims["sub"] != "alice" || claims["client_id"] != "orders" {
		t.Errorf("%v, act (-want +got):\n%s", claims, diff)
	}
	stranger := tokentest.NewKey(t, "ES256", "k1")
	good := robotToken(idp, nil)
	for name, actor := range map[string]string{
		"no token":         "x",
		"another's client": robotToken(idp, map[string]any{"client_id": "other"}),
		"no client":        robotToken(idp, map[string]any{"client_id": nil}),
		"for another":      robotToken(idp, map[string]any{"aud": "stock"}),
		"ended":            robotToken(idp, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"another's key":    stranger.Sign(nil, harness.Claims(t, good)),
		"a stranger's":     stranger.Sign(nil, tokentest.Claims("https://stranger.example", map[string]any{"aud": "orders", "client_id": "robot"})),
		"without a sign":   good[:strings.LastIndex(good, ".")+1],
	} {
		if refused := send(actor, harness.TypeAccessToken); refused.Status != http.StatusBadRequest || refused.Members()["error"] != "invalid_request" {
			t.Errorf("%s: %d, %s", name, refused.Status, refused.Body)
		}
	}
	send(good, "urn:ietf:params:oauth:token-type:jwt").Expect(t, http.StatusBadRequest)
	send(good, "").Expect(t, http.StatusBadRequest)
	send(good, harness.TypeAccessToken).Expect(t, http.StatusOK)
}

// S13: a token whose may_act names another is exchanged by nobody else, whoever they say
// that acts.
func TestS13MayActNamesWhoMay(t *testing.T) {
	t.Parallel()
	gateway, idp := startActors(t)
	robot := []string{"actor_token", robotToken(idp, nil), "actor_token_type", harness.TypeAccessToken}
	for name, test := range map[string]struct {
		mayAct any
		actor  []string
		status int
	}{
		"the client":                {map[string]any{"client_id": "orders"}, nil, http.StatusOK},
		"the client by its subject": {map[string]any{"sub": "client:orders", "iss": gateway.URL}, nil, http.StatusOK},
		"the actor":                 {map[string]any{"sub": "robot-7"}, robot, http.StatusOK},
		"another":                   {map[string]any{"sub": "other"}, nil, http.StatusBadRequest},
		"another than the actor":    {map[string]any{"sub": "other"}, robot, http.StatusBadRequest},
		"the actor, who is not in":  {map[string]any{"sub": "robot-7"}, nil, http.StatusBadRequest},
		"the client, who sends one": {map[string]any{"client_id": "orders"}, robot, http.StatusBadRequest},
		"nobody":                    {map[string]any{}, robot, http.StatusBadRequest},
		"a text":                    {"robot-7", robot, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			subject := idp.Token(map[string]any{"aud": "orders", "scope": "billing:read", "may_act": test.mayAct})
			answer := gateway.Post("/oauth2/token", harness.ExchangeForm("orders", subject, append([]string{"audience", "stock"}, test.actor...)...)).
				Expect(t, test.status)
			if test.status != http.StatusOK && answer.Members()["error"] != "invalid_request" {
				t.Errorf("the refusal is %s", answer.Body)
			}
		})
	}
}
