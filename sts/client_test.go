package sts_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

func basic(id, password string) string {
	plain := url.QueryEscape(id) + ":" + url.QueryEscape(password)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(plain))
}

// S2: every request proves its client, in one way, and that client's.
func TestS02ClientsProveThemselves(t *testing.T) {
	r := newRig(t, nil)
	none := params{"client_id": "", "client_secret": ""}
	for name, tt := range map[string]struct {
		more   params
		header string
		want   sts.Outcome
	}{
		"secret in the body":       {nil, "", sts.OutcomeOK},
		"secret in the header":     {none, basic("orders", secret), sts.OutcomeOK},
		"scheme in lower case":     {none, strings.Replace(basic("orders", secret), "Basic", "basic", 1), sts.OutcomeOK},
		"header and client_id":     {params{"client_secret": ""}, basic("orders", secret), sts.OutcomeOK},
		"client_id of another":     {params{"client_id": "plain", "client_secret": ""}, basic("orders", secret), sts.OutcomeClient},
		"wrong secret":             {params{"client_secret": secret + "x"}, "", sts.OutcomeClient},
		"part of the secret":       {params{"client_secret": secret[:len(secret)-1]}, "", sts.OutcomeClient},
		"the hash itself":          {params{"client_secret": phc(secret)}, "", sts.OutcomeClient},
		"a long secret":            {params{"client_secret": strings.Repeat("x", 2000)}, "", sts.OutcomeClient},
		"unknown client":           {params{"client_id": "nobody"}, "", sts.OutcomeClient},
		"client in another case":   {params{"client_id": "Orders"}, "", sts.OutcomeClient},
		"nobody":                   {none, "", sts.OutcomeClient},
		"a name alone":             {params{"client_secret": ""}, "", sts.OutcomeClient},
		"a secret alone":           {params{"client_id": ""}, "", sts.OutcomeClient},
		"header and body":          {nil, basic("orders", secret), sts.OutcomeTwoMethods},
		"secret and assertion":     {params{"client_assertion": r.assertion(nil, nil)}, "", sts.OutcomeTwoMethods},
		"header and assertion":     {params{"client_id": "", "client_secret": "", "client_assertion": "a.b.c"}, basic("orders", secret), sts.OutcomeTwoMethods},
		"bearer token":             {none, "Bearer a.b.c", sts.OutcomeClient},
		"not base64":               {none, "Basic !", sts.OutcomeClient},
		"no colon":                 {none, "Basic " + base64.StdEncoding.EncodeToString([]byte("orders")), sts.OutcomeClient},
		"not form-encoded":         {none, "Basic " + base64.StdEncoding.EncodeToString([]byte("orders:%zz")), sts.OutcomeClient},
		"secret of a keyed client": {params{"client_id": "keyed"}, "", sts.OutcomeClient},
		"secret of a mesh client":  {params{"client_id": "mesh"}, "", sts.OutcomeClient},
		"certificate is missing":   {params{"client_id": "mesh", "client_secret": ""}, "", sts.OutcomeClient},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			request := inner.request(clientForm(tt.more).body())
			if tt.header != "" {
				request.Header.Set("Authorization", tt.header)
			}
			inner.send(request, tt.want)
		})
	}
	request := r.request(clientForm(none).body())
	request.Header["Authorization"] = []string{basic("orders", secret), basic("orders", secret)}
	r.send(request, sts.OutcomeTwoMethods)
}

// S2: what is not named for a client is denied to it.
func TestS02WhatIsNotNamedIsDenied(t *testing.T) {
	r := newRig(t, nil)
	token, bot := r.subject(nil), r.subject(map[string]any{"sub": "bot", "client_id": "other"})
	for name, tt := range map[string]struct {
		form params
		want sts.Outcome
	}{
		"a client with nothing":    {clientForm(params{"client_id": "nothing"}), sts.OutcomeGrantDenied},
		"another grant":            {exchangeForm(token, params{"client_id": "plain", "audience": "one"}), sts.OutcomeGrantDenied},
		"no such grant":            {clientForm(params{"grant_type": "password"}), sts.OutcomeGrant},
		"refresh":                  {clientForm(params{"grant_type": "refresh_token"}), sts.OutcomeGrant},
		"another audience":         {clientForm(params{"audience": "https://other.example.com"}), sts.OutcomeTarget},
		"part of an audience":      {clientForm(params{"audience": "https://billing.example.com/x"}), sts.OutcomeTarget},
		"scope of others":          {clientForm(params{"scope": "admin"}), sts.OutcomeScope},
		"scope where none is had":  {clientForm(params{"client_id": "plain", "audience": "one", "scope": "a"}), sts.OutcomeScope},
		"another type of subject":  {exchangeForm(token, params{"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}), sts.OutcomeType},
		"an actor of others":       {exchangeForm(token, params{"actor_token": bot, "actor_token_type": sts.TypeAccessToken}), sts.OutcomeActor},
		"another type of token":    {exchangeForm(token, params{"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}), sts.OutcomeRequestedType},
		"a refresh token":          {exchangeForm(token, params{"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), sts.OutcomeRequestedType},
		"all that is named":        {exchangeForm(token, params{"scope": "orders:read", "requested_token_type": sts.TypeAccessToken}), sts.OutcomeOK},
		"nothing needs to be said": {clientForm(params{"client_id": "plain", "audience": "two"}), sts.OutcomeOK},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			inner.ask(tt.form, tt.want)
		})
	}
}

// S2, S15: assertions by the rules of RFC 7523.
func TestS02Assertions(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now()
	other := tokentest.NewKey(t, "ES256", "client-1")
	type claims = map[string]any
	good := claims{"iss": "keyed", "sub": "keyed", "aud": issuer, "jti": "a", "exp": now.Add(time.Minute).Unix()}
	const saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
	hs := claims{"alg": "HS256", "typ": "JWT", "kid": "client-1"}
	for name, tt := range map[string]struct {
		assertion string
		more      params
		want      sts.Outcome
	}{
		"good":                    {r.assertion(nil, nil), nil, sts.OutcomeOK},
		"aud in a list":           {r.assertion(nil, claims{"aud": []string{issuer}}), nil, sts.OutcomeOK},
		"typ JWT":                 {r.assertion(claims{"typ": "JWT"}, nil), nil, sts.OutcomeOK},
		"no typ":                  {r.assertion(claims{"typ": nil}, nil), nil, sts.OutcomeOK},
		"with client_id":          {r.assertion(nil, nil), params{"client_id": "keyed"}, sts.OutcomeOK},
		"client_id of another":    {r.assertion(nil, nil), params{"client_id": "orders"}, sts.OutcomeClient},
		"typ of an access token":  {r.assertion(claims{"typ": "at+jwt"}, nil), nil, sts.OutcomeClient},
		"typ of a proof":          {r.assertion(claims{"typ": "dpop+jwt"}, nil), nil, sts.OutcomeClient},
		"aud is the endpoint":     {r.assertion(nil, claims{"aud": endpoint}), nil, sts.OutcomeClient},
		"aud has others":          {r.assertion(nil, claims{"aud": []string{issuer, idp}}), nil, sts.OutcomeClient},
		"aud of another server":   {r.assertion(nil, claims{"aud": idp}), nil, sts.OutcomeClient},
		"no aud":                  {r.assertion(nil, claims{"aud": nil}), nil, sts.OutcomeClient},
		"sub is another":          {r.assertion(nil, claims{"sub": "orders"}), nil, sts.OutcomeClient},
		"another client":          {r.assertion(nil, claims{"iss": "orders", "sub": "orders"}), nil, sts.OutcomeClient},
		"unknown client":          {r.assertion(nil, claims{"iss": "x", "sub": "x"}), nil, sts.OutcomeClient},
		"no jti":                  {r.assertion(nil, claims{"jti": nil}), nil, sts.OutcomeClient},
		"long jti":                {r.assertion(nil, claims{"jti": strings.Repeat("x", 300)}), nil, sts.OutcomeClient},
		"expired":                 {r.assertion(nil, claims{"exp": now.Add(-time.Minute).Unix()}), nil, sts.OutcomeClient},
		"lives too long":          {r.assertion(nil, claims{"exp": now.Add(time.Hour).Unix()}), nil, sts.OutcomeClient},
		"no exp":                  {r.assertion(nil, claims{"exp": nil}), nil, sts.OutcomeClient},
		"exp is a text":           {r.assertion(nil, claims{"exp": "1e300"}), nil, sts.OutcomeClient},
		"exp is endless":          {r.assertion(nil, claims{"exp": 1e300}), nil, sts.OutcomeClient},
		"iat in the future":       {r.assertion(nil, claims{"iat": now.Add(2 * time.Minute).Unix()}), nil, sts.OutcomeClient},
		"nbf in the future":       {r.assertion(nil, claims{"nbf": now.Add(2 * time.Minute).Unix()}), nil, sts.OutcomeClient},
		"another key":             {other.Sign(claims{"typ": "JWT"}, good), nil, sts.OutcomeClient},
		"unknown kid":             {r.assertion(claims{"kid": "x"}, nil), nil, sts.OutcomeClient},
		"alg none":                {r.assertion(claims{"alg": "none"}, nil), nil, sts.OutcomeClient},
		"HS256 with a public key": {tokentest.HS256(tokentest.JSON(r.clientKey.JWK()), hs, good), nil, sts.OutcomeClient},
		"no JWT":                  {"a.b.c", nil, sts.OutcomeClient},
		"another type":            {r.assertion(nil, nil), params{"client_assertion_type": saml}, sts.OutcomeClient},
		"no type":                 {r.assertion(nil, nil), params{"client_assertion_type": ""}, sts.OutcomeClient},
		"a type alone":            {"", nil, sts.OutcomeClient},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			inner.ask(assertionForm(tt.assertion, tt.more), tt.want)
		})
	}
}

// S15: of many who send one assertion at once, one is served.
func TestS15AssertionsAreGoodOnce(t *testing.T) {
	r := newRig(t, nil)
	body := assertionForm(r.assertion(nil, nil), nil).body()
	var good, denied atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		request := r.request(body)
		wg.Go(func() {
			switch _, _, refused := r.service.Token(request); {
			case refused == nil:
				good.Add(1)
			case refused.Outcome == sts.OutcomeClient:
				denied.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 1 || denied.Load() != 19 {
		t.Errorf("%d were served, %d denied; want 1 and 19", good.Load(), denied.Load())
	}
	// A bad request uses it up too: it was seen.
	again := r.assertion(nil, nil)
	r.ask(assertionForm(again, params{"audience": "other"}), sts.OutcomeTarget)
	r.ask(assertionForm(again, nil), sts.OutcomeClient)
}

// An assertion with a bad signature uses nothing up: nobody spoils another's.
func TestS15OnlyTheClientUsesItsAssertionsUp(t *testing.T) {
	r := newRig(t, nil)
	good := r.assertion(nil, nil)
	forged := good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)
	r.ask(assertionForm(forged, nil), sts.OutcomeClient)
	r.ask(assertionForm(good, nil), sts.OutcomeOK)
}

// S2: certificates count by the name in them, whole, and only if the server
// verified them.
func TestS02Certificates(t *testing.T) {
	uri := func(texts ...string) *x509.Certificate {
		certificate := &x509.Certificate{Raw: []byte("certificate")}
		for _, text := range texts {
			parsed, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			certificate.URIs = append(certificate.URIs, parsed)
		}
		return certificate
	}
	for name, tt := range map[string]struct {
		san         string
		certificate *x509.Certificate
		want        sts.Outcome
	}{
		"SPIFFE ID":        {spiffeID, uri(spiffeID), sts.OutcomeOK},
		"another path":     {spiffeID, uri(spiffeID + "/x"), sts.OutcomeClient},
		"two SPIFFE IDs":   {spiffeID, uri(spiffeID, "spiffe://example.com/x"), sts.OutcomeClient},
		"the name as DNS":  {spiffeID, &x509.Certificate{DNSNames: []string{spiffeID}}, sts.OutcomeClient},
		"common name":      {"a.example.com", uri(), sts.OutcomeClient},
		"DNS":              {"a.example.com", &x509.Certificate{DNSNames: []string{"x", "A.example.com"}}, sts.OutcomeOK},
		"wildcard":         {"a.example.com", &x509.Certificate{DNSNames: []string{"*.example.com"}}, sts.OutcomeClient},
		"wildcard by name": {"*.example.com", &x509.Certificate{DNSNames: []string{"*.example.com"}}, sts.OutcomeClient},
		"e-mail":           {"a@example.com", &x509.Certificate{EmailAddresses: []string{"a@example.com"}}, sts.OutcomeOK},
		"another e-mail":   {"a@example.com", &x509.Certificate{EmailAddresses: []string{"b@example.com"}}, sts.OutcomeClient},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				for _, client := range r.settings.Clients {
					if client.ID == "mesh" {
						client.Auth.Name = tt.san
					}
				}
			})
			form := clientForm(params{"client_id": "mesh", "client_secret": ""})
			r.certificate = tt.certificate
			r.ask(form, tt.want)
			request := r.request(form.body())
			request.TLS.VerifiedChains = nil
			r.send(request, sts.OutcomeClient) // asked for, and not verified
			r.send(r.request(clientForm(params{"client_id": "mesh"}).body()), sts.OutcomeClient)
		})
	}
}

func TestSecretHashes(t *testing.T) {
	salt, sum := "MDEyMzQ1Njc4OWFiY2RlZg", strings.Repeat("A", 43)
	for text, good := range map[string]bool{
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum:     true,
		"$argon2id$v=19$t=2,m=65536,p=4$" + salt + "$" + sum:     true,
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + sum:      false,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + sum:     false,
		"$argon2id$v=19$m=1024,t=2,p=1$" + salt + "$" + sum:      false,
		"$argon2id$v=19$m=1048576,t=2,p=1$" + salt + "$" + sum:   false,
		"$argon2id$v=19$m=19456,t=99,p=1$" + salt + "$" + sum:    false,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + sum:     false,
		"$argon2id$v=19$m=19456,t=2,p=99$" + salt + "$" + sum:    false,
		"$argon2id$v=19$m=19456,t=2$" + salt + "$" + sum:         false,
		"$argon2id$v=19$m=19456,t=2,t=2,p=1$" + salt + "$" + sum: false,
		"$argon2id$v=19$m=19456,t=2,x=1$" + salt + "$" + sum:     false,
		"$argon2id$v=19$m=19456,t=2,p=1$YQ$" + sum:               false,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$YQ":         false,
		"$2a$10$abcdefghijklmnopqrstuv":                          false,
		"canary-secret":                                          false,
		"":                                                       false,
	} {
		_, err := sts.ParseSecretHash(text)
		if (err == nil) != good || err != nil && !errors.Is(err, sts.ErrSecretHash) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the message quotes what may be a secret: %v", err)
		}
	}
}

// A crowd of wrong secrets gets 429, and whoever knows the right one is not kept out
// by it.
func TestWrongSecretsAreBounded(t *testing.T) {
	r := newRig(t, nil)
	r.ask(clientForm(nil), sts.OutcomeOK)
	var wg sync.WaitGroup
	outcomes := make(chan sts.Outcome, 200)
	for range cap(outcomes) {
		request := r.request(clientForm(params{"client_secret": "wrong"}).body())
		wg.Go(func() {
			_, _, refused := r.service.Token(request)
			outcomes <- refused.Outcome
		})
	}
	for range 20 {
		r.ask(clientForm(nil), sts.OutcomeOK)
	}
	wg.Wait()
	close(outcomes)
	counts := make(map[sts.Outcome]int)
	for outcome := range outcomes {
		counts[outcome]++
	}
	if counts[sts.OutcomeTooMany] == 0 || counts[sts.OutcomeClient]+counts[sts.OutcomeTooMany] != 200 {
		t.Errorf("the outcomes are %v", counts)
	}
	refused := sts.Refuse(sts.OutcomeTooMany, nil)
	if refused.Status() != http.StatusTooManyRequests || refused.RetryAfter() <= 0 {
		t.Errorf("the answer is %d", refused.Status())
	}
}
