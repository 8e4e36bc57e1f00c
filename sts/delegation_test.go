package sts_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

// S13: what happens is decided by what the subject's token says.
func TestS13ClaimsDecideWhoActs(t *testing.T) {
	r := newRig(t, nil)
	self := claimSet{"iss": issuer, "sub": "client:orders", "client_id": "orders"}
	robot := claimSet{"iss": idp, "sub": "robot-7", "client_id": "robot"}
	actor := params{"actor_token": r.subject(claimSet{"sub": "robot-7", "client_id": "robot"}), "actor_token_type": sts.TypeAccessToken}
	earlier := claimSet{"sub": "front", "act": claimSet{"sub": "edge"}}
	wrap := func(outer, inner claimSet) claimSet {
		all := maps.Clone(outer)
		all["act"] = inner
		return all
	}
	deep := claimSet{"sub": "4", "act": claimSet{"sub": "3", "act": claimSet{"sub": "2", "act": claimSet{"sub": "1"}}}}
	for name, tt := range map[string]struct {
		claims claimSet
		more   params
		want   claimSet
		code   sts.Outcome
	}{
		"the client acts":           {nil, nil, self, sts.OutcomeOK},
		"the actor token's owner":   {nil, actor, robot, sts.OutcomeOK},
		"the chain is kept":         {claimSet{"act": earlier}, nil, wrap(self, earlier), sts.OutcomeOK},
		"the chain and an actor":    {claimSet{"act": earlier}, actor, wrap(robot, earlier), sts.OutcomeOK},
		"too long a chain":          {claimSet{"act": deep}, nil, nil, sts.OutcomeActorDenied},
		"may_act names the actor":   {claimSet{"may_act": claimSet{"sub": "robot-7", "iss": idp}}, actor, robot, sts.OutcomeOK},
		"may_act names the client":  {claimSet{"may_act": claimSet{"client_id": "orders"}}, nil, self, sts.OutcomeOK},
		"may_act, and no actor":     {claimSet{"may_act": claimSet{"sub": "robot-7"}}, nil, nil, sts.OutcomeActorDenied},
		"may_act names another":     {claimSet{"may_act": claimSet{"sub": "other"}}, actor, nil, sts.OutcomeActorDenied},
		"may_act of another issuer": {claimSet{"may_act": claimSet{"sub": "robot-7", "iss": stranger}}, actor, nil, sts.OutcomeActorDenied},
		"may_act wants more":        {claimSet{"may_act": claimSet{"sub": "robot-7", "role": "x"}}, actor, nil, sts.OutcomeActorDenied},
		"may_act is empty":          {claimSet{"may_act": claimSet{}}, actor, nil, sts.OutcomeActorDenied},
		"may_act is no object":      {claimSet{"may_act": "robot-7"}, actor, nil, sts.OutcomeActorDenied},
		"the actor is the subject":  {claimSet{"sub": "robot-7"}, actor, nil, sts.OutcomeActorDenied},
		"act is no object":          {claimSet{"act": "front"}, nil, nil, sts.OutcomeSubject},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			grant := inner.ask(exchangeForm(r.subject(tt.claims), tt.more), tt.code)
			if grant == nil {
				return
			}
			claims := inner.claims(grant.AccessToken)
			if diff := cmp.Diff(any(tt.want), claims["act"]); diff != "" || claims["may_act"] != nil {
				t.Errorf("act (-want +got):\n%s\nmay_act: %v", diff, claims["may_act"])
			}
		})
	}
}

// S14: rights that are not understood are refused and never passed over.
func TestS14AuthorizationDetails(t *testing.T) {
	r := newRig(t, nil)
	for _, details := range []string{`[{"type":"payment"}]`, "[]", "x"} {
		r.ask(clientForm(params{"authorization_details": details}), sts.OutcomeDetails)
		r.ask(exchangeForm(r.subject(nil), params{"authorization_details": details}), sts.OutcomeDetails)
	}
}

// S16: no client is a user and no user a client.
func TestS16ClientsAreNotUsers(t *testing.T) {
	r := newRig(t, nil)
	own := r.claims(r.ask(clientForm(nil), sts.OutcomeOK).AccessToken)
	if own["sub"] != "client:orders" || own["client_id"] != "orders" || own["act"] != nil {
		t.Errorf("the client's own token: %v", own)
	}
	users := r.claims(r.ask(exchangeForm(r.subject(claimSet{"sub": "orders", "client_id": "app"}), nil), sts.OutcomeOK).AccessToken)
	if users["sub"] != "orders" || users["client_id"] != "orders" {
		t.Errorf("a user's token: %v", users)
	}
	r.each(map[string]subjectCase{
		"a user who is called like a client":    {r.subject(claimSet{"sub": "client:orders"}), nil, sts.OutcomeSubject},
		"a user who is called like the service": {r.subject(claimSet{"sub": issuer}), nil, sts.OutcomeSubject},
	})
}

// S17: a token that is for the next leg only is no access token.
func TestS17OtherTokensOfOurOwn(t *testing.T) {
	r := newRig(t, nil)
	sign := func(typ string, claims claimSet) string {
		text, err := r.signer.Sign(claimSet{"typ": typ}, tokentest.JSON(claims))
		r.must(err)
		return text
	}
	claims := tokentest.Claims(issuer, claimSet{"aud": "orders"})
	r.each(map[string]subjectCase{
		"an access token of ours":   {sign("at+jwt", claims), nil, sts.OutcomeOK},
		"a transaction token":       {sign("txntoken+jwt", claims), nil, sts.OutcomeSubject},
		"an identity assertion":     {sign("oauth-id-jag+jwt", claims), nil, sts.OutcomeSubject},
		"a JWT without a kind":      {sign("JWT", claims), nil, sts.OutcomeSubject},
		"an introspection answer":   {sign("token-introspection+jwt", claims), nil, sts.OutcomeSubject},
		"a client assertion":        {sign("client-authentication+jwt", claims), nil, sts.OutcomeSubject},
		"a token without client_id": {sign("at+jwt", tokentest.Claims(issuer, claimSet{"aud": "orders", "client_id": nil})), nil, sts.OutcomeSubject},
	})
}

// A chain of services: each hop its own token, the chain in it, the user the same.
func TestChainOfServices(t *testing.T) {
	r := newRig(t, func(r *rig) {
		for _, client := range r.settings.Clients {
			client.Audience = append(client.Audience, "orders", "phantom")
		}
	})
	first := r.ask(exchangeForm(r.subject(claimSet{"auth_time": 1000, "acr": "high", "amr": []string{"pwd"}}), params{"audience": "phantom"}), sts.OutcomeOK)
	opaque := r.ask(exchangeForm(first.AccessToken.Reveal(), params{"client_id": "phantom", "audience": "orders"}), sts.OutcomeOK)
	if !strings.HasPrefix(opaque.AccessToken.Reveal(), sts.ReferencePrefix) {
		t.Fatalf("an opaque client got something else")
	}
	// The reference is as good as its token where it is exchanged.
	last := r.ask(exchangeForm(opaque.AccessToken.Reveal(), nil), sts.OutcomeOK)
	one, two := r.claims(first.AccessToken), r.claims(last.AccessToken)
	if two["sub"] != "alice" || one["txn"] == nil || one["txn"] != two["txn"] || two["acr"] != "high" || one["jti"] == two["jti"] {
		t.Errorf("the first token %v\nthe last %v", one, two)
	}
	want := []string{"client:orders", "client:phantom", "client:orders"}
	var got []string
	for act, _ := two["act"].(claimSet); act != nil; act, _ = act["act"].(claimSet) {
		sub, _ := act["sub"].(string)
		got = append(got, sub)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the chain (-want +got):\n%s", diff)
	}
}
