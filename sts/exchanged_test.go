package sts_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

// S9: scopes only shrink.
func TestS09ScopesOnlyShrink(t *testing.T) {
	r := newRig(t, nil)
	for name, tt := range map[string]struct {
		held  any
		asked string
		want  string
		code  sts.Outcome
	}{
		"asked, held and allowed":   {"orders:read orders:write", "orders:read", "orders:read", sts.OutcomeOK},
		"not held":                  {"orders:read", "billing:read", "", sts.OutcomeScope},
		"not allowed":               {"orders:read admin", "admin", "", sts.OutcomeScope},
		"partly":                    {"orders:read admin", "admin orders:read orders:write", "orders:read", sts.OutcomeOK},
		"nothing asked":             {"orders:read admin", "", "orders:read", sts.OutcomeOK},
		"held twice":                {[]string{"orders:read", "orders:read"}, "", "orders:read", sts.OutcomeOK},
		"nothing to be had":         {"admin", "", "", sts.OutcomeScope},
		"an empty scope":            {"", "", "", sts.OutcomeScope},
		"an unknown scope":          {nil, "", "", sts.OutcomeSubject},
		"an unknown scope, asked":   {nil, "orders:read", "", sts.OutcomeSubject},
		"part of a name":            {"orders", "orders:read", "", sts.OutcomeScope},
		"another case":              {"Orders:read", "orders:read", "", sts.OutcomeScope},
		"a tab is no separator":     {"orders:read\torders:write", "orders:write", "", sts.OutcomeScope},
		"asked in a bad form":       {"orders:read", `orders:read"`, "", sts.OutcomeScope},
		"asked for far too much":    {"orders:read", "orders:read " + strings.Repeat("x ", 3000), "", sts.OutcomeScope},
		"scopes in a list":          {[]string{"orders:read"}, "orders:read", "orders:read", sts.OutcomeOK},
		"a blank in a listed scope": {[]string{"orders:read orders:write"}, "orders:write", "", sts.OutcomeScope},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			grant := inner.ask(exchangeForm(r.subject(claimSet{"scope": tt.held}), params{"scope": tt.asked}), tt.code)
			if grant == nil {
				return
			}
			if got := inner.claims(grant.AccessToken)["scope"]; grant.ScopeText() != tt.want || got != tt.want {
				t.Errorf("answer %q, token %q; want %q", grant.ScopeText(), got, tt.want)
			}
		})
	}
}

// S10: a token is for one service.
func TestS10OneAudience(t *testing.T) {
	r := newRig(t, nil)
	base := clientForm(params{"audience": ""}).body()
	for name, tt := range map[string]struct {
		query string
		want  string
		code  sts.Outcome
	}{
		"audience":            {"&audience=" + billing, billing, sts.OutcomeOK},
		"resource":            {"&resource=" + billing, billing, sts.OutcomeOK},
		"both the same":       {"&audience=" + billing + "&resource=" + billing, billing, sts.OutcomeOK},
		"a blank is no comma": {"&audience=a+b", "a b", sts.OutcomeOK},
		"none of several":     {"", "", sts.OutcomeTarget},
		"two":                 {"&audience=" + billing + "&audience=a+b", "", sts.OutcomeTarget},
		"audience, resource":  {"&audience=a+b&resource=" + billing, "", sts.OutcomeTarget},
		"unknown":             {"&audience=x", "", sts.OutcomeTarget},
		"part":                {"&audience=a", "", sts.OutcomeTarget},
		"resource, no URI":    {"&resource=a+b", "", sts.OutcomeTarget},
		"resource, fragment":  {"&resource=" + billing + "%23x", "", sts.OutcomeTarget},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			grant := inner.send(inner.request(base+tt.query), tt.code)
			if grant != nil && inner.claims(grant.AccessToken)["aud"] != tt.want {
				t.Errorf("aud is %v", inner.claims(grant.AccessToken)["aud"])
			}
		})
	}
}

// S11: a token lives no longer than what it is made of.
func TestS11NoLongerThanItsSubject(t *testing.T) {
	r := newRig(t, nil)
	in := func(life time.Duration) int64 { return time.Now().Add(life).Unix() }
	robot := func(life time.Duration) params {
		actor := r.subject(claimSet{"sub": "robot-7", "client_id": "robot", "exp": in(life)})
		return params{"actor_token": actor, "actor_token_type": sts.TypeAccessToken}
	}
	for name, tt := range map[string]struct {
		subject time.Duration
		more    params
		want    int64
	}{
		"its own":        {time.Hour, nil, 300},
		"the subject's":  {time.Minute, nil, 60},
		"the actor's":    {time.Hour, robot(30 * time.Second), 30},
		"the earliest":   {20 * time.Second, robot(30 * time.Second), 20},
		"its own of all": {time.Hour, robot(time.Hour), 300},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			grant := inner.ask(exchangeForm(r.subject(claimSet{"exp": in(tt.subject)}), tt.more), sts.OutcomeOK)
			claims := inner.claims(grant.AccessToken)
			number, _ := claims["exp"].(json.Number)
			exp, _ := number.Int64()
			if left := exp - time.Now().Unix(); left > tt.want || left < tt.want-3 || grant.ExpiresIn > tt.want {
				t.Errorf("it lives %d s, expires_in %d; want %d", left, grant.ExpiresIn, tt.want)
			}
		})
	}
}

// S12: a bound token is exchanged by its holder, and stays bound.
func TestS12BoundTokensStayBound(t *testing.T) {
	r := newRig(t, nil)
	alice, thief := newHolder(t), newHolder(t)
	bound := exchangeForm(r.subject(claimSet{"cnf": claimSet{"jkt": alice.jkt()}}), nil).body()
	r.send(r.request(bound), sts.OutcomeUnproved)
	r.send(thief.proved(t, r.request(bound), endpoint, ""), sts.OutcomeUnproved)
	grant := r.send(alice.proved(t, r.request(bound), endpoint, ""), sts.OutcomeOK)
	if cnf := r.claims(grant.AccessToken)["cnf"]; !cmp.Equal(cnf, any(claimSet{"jkt": alice.jkt()})) || grant.TokenType != "DPoP" {
		t.Errorf("cnf is %v, token_type %s", cnf, grant.TokenType)
	}
	held, other := &x509.Certificate{Raw: []byte("alice's")}, &x509.Certificate{Raw: []byte("another")}
	thumb := proof.CertificateThumbprint(held.Raw)
	cnf := claimSet{"x5t#S256": base64.RawURLEncoding.EncodeToString(thumb[:])}
	byCertificate := exchangeForm(r.subject(claimSet{"cnf": cnf}), nil)
	r.ask(byCertificate, sts.OutcomeUnproved)
	r.certificate = other
	r.ask(byCertificate, sts.OutcomeUnproved)
	r.certificate = held
	if got := r.claims(r.ask(byCertificate, sts.OutcomeOK).AccessToken)["cnf"]; !cmp.Equal(got, any(cnf)) {
		t.Errorf("cnf is %v", got)
	}
	r.certificate = nil
	unknown := exchangeForm(r.subject(claimSet{"cnf": claimSet{"kid": "x"}}), nil)
	r.ask(unknown, sts.OutcomeSubject)
	actor := exchangeForm(r.subject(nil), params{
		"actor_token":      r.subject(claimSet{"sub": "robot-7", "client_id": "robot", "cnf": claimSet{"jkt": alice.jkt()}}),
		"actor_token_type": sts.TypeAccessToken,
	})
	r.ask(actor, sts.OutcomeUnproved)
}

// S12 and RFC 9449, section 5: proofs at the token endpoint.
func TestS12ProofsBindTokens(t *testing.T) {
	r := newRig(t, nil)
	alice := newHolder(t)
	body := clientForm(nil).body()
	request := alice.proved(t, r.request(body), endpoint, "")
	grant := r.send(request, sts.OutcomeOK)
	if cnf := r.claims(grant.AccessToken)["cnf"]; !cmp.Equal(cnf, any(claimSet{"jkt": alice.jkt()})) || grant.TokenType != "DPoP" {
		t.Errorf("cnf is %v, token_type %s", cnf, grant.TokenType)
	}
	again := r.request(body)
	again.Header["Dpop"] = request.Header["Dpop"]
	r.send(again, sts.OutcomeProof)
	r.send(alice.proved(t, r.request(body), issuer+"/oauth2/revoke", ""), sts.OutcomeProof)
	two := alice.proved(t, r.request(body), endpoint, "")
	two.Header["Dpop"] = append(two.Header["Dpop"], "x")
	r.send(two, sts.OutcomeProof)
}
