package sts_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/sts"
	"github.com/caddy-gatehouse/gatehouse/token"
)

type claimSet = map[string]any

// each runs a table of subject tokens.
func (r *rig) each(tests map[string]subjectCase) {
	for name, tt := range tests {
		r.t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			inner.ask(exchangeForm(tt.token, tt.more), tt.want)
		})
	}
}

type subjectCase struct {
	token string
	more  params
	want  sts.Outcome
}

// S3: subject and actor tokens are verified by the rules of their type, the actor's
// whenever it is there.
func TestS03TokensAreVerified(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now()
	good := r.subject(nil)
	robot := claimSet{"sub": "robot-7", "client_id": "robot"}
	with := func(changes claimSet) claimSet {
		all := maps.Clone(robot)
		maps.Copy(all, changes)
		return all
	}
	actor := func(text string) params {
		return params{"actor_token": text, "actor_token_type": sts.TypeAccessToken}
	}
	tampered := strings.Split(good, ".")
	tampered[1] = tokentest.Encode(tokentest.JSON(tokentest.Claims(idp, claimSet{"aud": "orders", "sub": "admin"})))
	other := tokentest.NewKey(t, "ES256", "idp-1")
	r.each(map[string]subjectCase{
		"good":                    {good, nil, sts.OutcomeOK},
		"good with actor":         {good, actor(r.subject(robot)), sts.OutcomeOK},
		"expired":                 {r.subject(claimSet{"exp": now.Add(-time.Hour).Unix()}), nil, sts.OutcomeSubject},
		"expired within leeway":   {r.subject(claimSet{"exp": now.Add(-5 * time.Second).Unix()}), nil, sts.OutcomeSubject},
		"no exp":                  {r.subject(claimSet{"exp": nil}), nil, sts.OutcomeSubject},
		"not yet valid":           {r.subject(claimSet{"nbf": now.Add(time.Hour).Unix()}), nil, sts.OutcomeSubject},
		"no subject":              {r.subject(claimSet{"sub": nil}), nil, sts.OutcomeSubject},
		"another key":             {other.Sign(nil, tokentest.Claims(idp, claimSet{"aud": "orders"})), nil, sts.OutcomeSubject},
		"tampered":                {strings.Join(tampered, "."), nil, sts.OutcomeSubject},
		"a text":                  {"token", nil, sts.OutcomeSubject},
		"a reference of nobody's": {sts.ReferencePrefix + strings.Repeat("A", 43), nil, sts.OutcomeSubject},
		"long":                    {good + strings.Repeat("x", 20_000), nil, sts.OutcomeSubject},
		"no type":                 {good, params{"subject_token_type": ""}, sts.OutcomeMissing},
		"no token":                {"", nil, sts.OutcomeMissing},
		"expired actor":           {good, actor(r.subject(with(claimSet{"exp": now.Add(-time.Hour).Unix()}))), sts.OutcomeActor},
		"actor of another key":    {good, actor(other.Sign(nil, tokentest.Claims(idp, with(claimSet{"aud": "orders"})))), sts.OutcomeActor},
		"actor for another API":   {good, actor(r.subject(with(claimSet{"aud": "api"}))), sts.OutcomeActor},
		"a text for an actor":     {good, actor("robot"), sts.OutcomeActor},
		"actor without type":      {good, params{"actor_token": good}, sts.OutcomeMissing},
		"type without actor":      {good, params{"actor_token_type": sts.TypeAccessToken}, sts.OutcomeMissing},
		"actor of another type":   {good, params{"actor_token": good, "actor_token_type": "urn:ietf:params:oauth:token-type:jwt"}, sts.OutcomeType},
	})
}

// S3: what could not be checked is not a bad token.
func TestS03UncheckedIsNotBad(t *testing.T) {
	r := newRig(t, nil)
	r.settings.Clients[0].Subjects = nil
	for _, client := range r.settings.Clients {
		if client.ID == "orders" {
			client.Subjects = verifierFunc(failing)
		}
	}
	r.ask(exchangeForm(r.subject(nil), nil), sts.OutcomeUnavailable)
}

// S4: a token is one of the client's issuers, signed by its key, with the typ of an
// access token. There is no "any JWT".
func TestS04OnlyConfiguredTokens(t *testing.T) {
	r := newRig(t, nil)
	claims := tokentest.Claims(idp, claimSet{"aud": "orders"})
	foreign := tokentest.NewKey(t, "ES256", "x")
	r.each(map[string]subjectCase{
		"another issuer":        {foreign.Sign(nil, tokentest.Claims(stranger, claimSet{"aud": "orders"})), nil, sts.OutcomeSubject},
		"key of another issuer": {foreign.Sign(nil, claims), nil, sts.OutcomeSubject},
		"iss of another":        {r.idp.Sign(nil, tokentest.Claims(stranger, claimSet{"aud": "orders"})), nil, sts.OutcomeSubject},
		"iss of the service":    {r.idp.Sign(nil, tokentest.Claims(issuer, claimSet{"aud": "orders"})), nil, sts.OutcomeSubject},
		"ID token":              {r.subject(claimSet{"nonce": "n"}), nil, sts.OutcomeSubject},
		"typ of a logout token": {r.idp.Sign(claimSet{"typ": "logout+jwt"}, claims), nil, sts.OutcomeSubject},
		"typ of a proof":        {r.idp.Sign(claimSet{"typ": "dpop+jwt"}, claims), nil, sts.OutcomeSubject},
		"typ JWT":               {r.idp.Sign(claimSet{"typ": "JWT"}, claims), nil, sts.OutcomeOK},
		"alg none":              {r.idp.Sign(claimSet{"alg": "none"}, claims), nil, sts.OutcomeSubject},
		"HS256":                 {tokentest.HS256(tokentest.JSON(r.idp.JWK()), claimSet{"alg": "HS256", "kid": "idp-1"}, claims), nil, sts.OutcomeSubject},
		"as any JWT":            {r.subject(nil), params{"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, sts.OutcomeType},
		"as an ID token":        {r.subject(nil), params{"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, sts.OutcomeType},
		"as a type of its own":  {r.subject(nil), params{"subject_token_type": "urn:x:y"}, sts.OutcomeType},
	})
}

// S4: not even a client that the configuration would let send any JWT may do so.
func TestS04NoAnyJWT(t *testing.T) {
	const anyJWT = "urn:ietf:params:oauth:token-type:jwt"
	r := newRig(t, func(r *rig) {
		for _, client := range r.settings.Clients {
			client.SubjectTypes = append(client.SubjectTypes, anyJWT)
		}
	})
	r.ask(exchangeForm(r.subject(nil), params{"subject_token_type": anyJWT}), sts.OutcomeType)
}

// S5: the token was meant for this service or for the client that sends it.
func TestS05TheTokenWasMeantForTheClient(t *testing.T) {
	r := newRig(t, nil)
	r.each(map[string]subjectCase{
		"for the client":        {r.subject(claimSet{"aud": "orders"}), nil, sts.OutcomeOK},
		"for the service":       {r.subject(claimSet{"aud": issuer}), nil, sts.OutcomeOK},
		"among others":          {r.subject(claimSet{"aud": []string{"api", "orders"}}), nil, sts.OutcomeOK},
		"for another client":    {r.subject(claimSet{"aud": "plain"}), nil, sts.OutcomeSubject},
		"for another API":       {r.subject(claimSet{"aud": "https://api.example.com"}), nil, sts.OutcomeSubject},
		"for nobody":            {r.subject(claimSet{"aud": nil}), nil, sts.OutcomeSubject},
		"for a longer name":     {r.subject(claimSet{"aud": "orders-admin"}), nil, sts.OutcomeSubject},
		"azp is not aud":        {r.subject(claimSet{"aud": "api", "azp": "orders"}), nil, sts.OutcomeSubject},
		"client_id is not aud":  {r.subject(claimSet{"aud": "api", "client_id": "orders"}), nil, sts.OutcomeSubject},
		"the target is not aud": {r.subject(claimSet{"aud": billing}), nil, sts.OutcomeSubject},
	})
}

// S6: each refusal has its code.
func TestS06ErrorCodes(t *testing.T) {
	for outcome, want := range map[sts.Outcome]string{
		sts.OutcomeMalformed: "invalid_request", sts.OutcomeInURL: "invalid_request", sts.OutcomeRepeated: "invalid_request",
		sts.OutcomeMissing: "invalid_request", sts.OutcomeMethod: "invalid_request", sts.OutcomeEarly: "invalid_request",
		sts.OutcomeTwoMethods: "invalid_request", sts.OutcomeClient: "invalid_client", sts.OutcomeGrant: "unsupported_grant_type",
		sts.OutcomeGrantDenied: "unauthorized_client", sts.OutcomeForeign: "unauthorized_client",
		sts.OutcomeType: "invalid_request", sts.OutcomeSubject: "invalid_request", sts.OutcomeActor: "invalid_request",
		sts.OutcomeActorDenied: "invalid_request", sts.OutcomeUnproved: "invalid_request", sts.OutcomeRequestedType: "invalid_request",
		sts.OutcomeTarget: "invalid_target", sts.OutcomeScope: "invalid_scope", sts.OutcomeDetails: "invalid_authorization_details",
		sts.OutcomeProof: "invalid_dpop_proof", sts.OutcomeNonce: "use_dpop_nonce",
		sts.OutcomeTooMany: "temporarily_unavailable", sts.OutcomeUnavailable: "temporarily_unavailable", sts.OutcomeGone: "temporarily_unavailable",
	} {
		refused := sts.Refuse(outcome, nil)
		status := map[sts.Outcome]int{
			sts.OutcomeMethod: 405, sts.OutcomeEarly: 425, sts.OutcomeClient: 401, sts.OutcomeTooMany: 429,
			sts.OutcomeUnavailable: 503, sts.OutcomeGone: 503,
		}[outcome]
		if status == 0 {
			status = 400
		}
		if refused.Code() != want || refused.Status() != status || refused.Description() == "" {
			t.Errorf("%s: %d %s %q; want %d %s", outcome, refused.Status(), refused.Code(), refused.Description(), status, want)
		}
	}
}

// S8: the answer says what the token is.
func TestS08TheAnswerSaysWhatItIs(t *testing.T) {
	r := newRig(t, nil)
	exchanged := r.ask(exchangeForm(r.subject(nil), params{"scope": "orders:read billing:read"}), sts.OutcomeOK)
	own := r.ask(clientForm(params{"scope": "billing:read orders:read billing:read admin"}), sts.OutcomeOK)
	got := []any{exchanged.IssuedType, exchanged.TokenType, exchanged.ScopeText(), own.IssuedType, own.TokenType, own.ScopeText()}
	want := []any{sts.TypeAccessToken, "Bearer", "orders:read", "", "Bearer", "billing:read orders:read"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answers (-want +got):\n%s", diff)
	}
	if exchanged.ExpiresIn < 295 || exchanged.ExpiresIn > 300 {
		t.Errorf("expires_in is %d", exchanged.ExpiresIn)
	}
}

// What a subject token says is the caller's to make long: neither its characters nor
// its length is a failure of the service.
func TestLongSubjectTokens(t *testing.T) {
	long := strings.Repeat("s", 9000)
	r := newRig(t, func(r *rig) {
		r.settings.Naming = func(subject *token.Token, _ string) (string, signing.SubjectID) {
			return idp + "#" + subject.Subject, signing.SubjectID{Issuer: idp, Subject: subject.Subject}
		}
	})
	for name, tt := range map[string]struct {
		claims claimSet
		want   sts.Outcome
	}{
		"characters that HTML escapes": {claimSet{"amr": []string{strings.Repeat("<&>", 3000)}}, sts.OutcomeOK},
		"actors of such a name":        {claimSet{"act": map[string]any{"sub": strings.Repeat("&", 9000)}}, sts.OutcomeOK},
		"a subject that is doubled":    {claimSet{"sub": long}, sts.OutcomeSubject},
	} {
		tt.claims["aud"] = []string{"orders", "phantom"}
		subject := r.unescaped(tt.claims)
		for _, client := range []string{"orders", "phantom"} {
			t.Run(name+" for "+client, func(t *testing.T) {
				inner := *r
				inner.t = t
				inner.ask(exchangeForm(subject, params{"client_id": client}), tt.want)
			})
		}
	}
}

// unescaped makes a subject token as other libraries write it: Go's writes six octets
// for each <.
func (r *rig) unescaped(changes claimSet) string {
	r.t.Helper()
	var payload strings.Builder
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	r.must(encoder.Encode(tokentest.Claims(idp, changes)))
	return r.idp.SignRaw([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"idp-1"}`), []byte(payload.String()))
}
