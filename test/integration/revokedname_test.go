package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// orderOf is an order to revoke, as JSON.
func orderOf(t *testing.T, kind, issuer, value string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"kind": kind, "issuer": issuer, "value": value})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A speaker tells a gateway who is no longer good.
type speaker struct {
	*harness.Gateway

	idp *harness.AuthServer
	key *tokentest.Key // of its signals
}

// logout logs a subject out.
func (s speaker) logout(t *testing.T, sub string) {
	t.Helper()
	s.Logout(s.idp.LogoutToken(map[string]any{"sid": nil, "sub": sub})).Expect(t, http.StatusOK)
}

// signal says that the sessions of a subject are no longer good.
func (s speaker) signal(t *testing.T, sub string) {
	t.Helper()
	id := map[string]any{"format": "iss_sub", "iss": s.idp.URL, "sub": sub}
	set := s.key.Sign(map[string]any{"typ": "secevent+jwt"}, s.idp.SETClaims(map[string]any{"sub_id": id}))
	harness.Eventually(t, "the signal is taken", func() bool { return s.Push(set).Status == http.StatusAccepted })
}

// Whatever an issuer calls a subject, a session, a client or a token: what is let in
// can be revoked, and nobody else is.
func TestAnyNameIsRevocable(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	key := idp.Transmits(t)
	gateway := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	says := speaker{gateway, idp, key}
	long, controls := strings.Repeat("s", 2000), "a\n\u001b[2J\u0085b"
	byCommand := func(t *testing.T, name string) {
		t.Helper()
		status, said := command(t, gateway, "", "revoke", "subject", name, "--issuer", "main")
		if status != 0 || !strings.Contains(said, "revoked subject sha256:") {
			t.Errorf("%d: %s", status, said)
		}
		if status, said = command(t, gateway, "", "revocations", "--value", name); !strings.Contains(said, "1 of 1 that match") {
			t.Errorf("%d: %s", status, said)
		}
	}
	for name, test := range map[string]struct {
		subject string
		revoke  func(*testing.T, string)
	}{
		"long, by the API":         {long + "1", func(t *testing.T, sub string) { revoke(t, gateway, orderOf(t, "subject", "main", sub)) }},
		"controls, by the API":     {controls + "\x00", func(t *testing.T, sub string) { revoke(t, gateway, orderOf(t, "subject", "main", sub)) }},
		"long, by the command":     {long + "2", byCommand},
		"controls, by the command": {controls + "2", byCommand},
		"long, by a logout":        {long + "3", func(t *testing.T, sub string) { says.logout(t, sub) }},
		"controls, by a logout":    {controls + "3", func(t *testing.T, sub string) { says.logout(t, sub) }},
		"long, by a signal":        {long + "4", func(t *testing.T, sub string) { says.signal(t, sub) }},
		"controls, by a signal":    {controls + "4", func(t *testing.T, sub string) { says.signal(t, sub) }},
	} {
		t.Run(name, func(t *testing.T) {
			held, other := idp.Token(map[string]any{"sub": test.subject}), idp.Token(map[string]any{"sub": test.subject + "x"})
			gateway.Get("/", held).Expect(t, http.StatusOK)
			test.revoke(t, test.subject)
			gateway.Get("/", held).Expect(t, http.StatusUnauthorized)
			gateway.Get("/", other).Expect(t, http.StatusOK)
		})
	}
	for kind, claim := range map[string]string{"jti": "jti", "session": "sid", "client": "client_id"} {
		held, other := idp.Token(map[string]any{claim: long + controls}), idp.Token(map[string]any{claim: long + long})
		gateway.Get("/", held).Expect(t, http.StatusOK)
		revoke(t, gateway, orderOf(t, kind, "main", long+controls))
		gateway.Get("/", held).Expect(t, http.StatusUnauthorized)
		gateway.Get("/", other).Expect(t, http.StatusOK)
	}
	for line := range strings.Lines(gateway.Log()) {
		if strings.Contains(line, "\x1b[2J") || strings.Contains(line, `\u001b[2J`) {
			t.Errorf("the log has a control character of a subject's: %s", line)
		}
	}
}

// Where subjects are read from another claim, who revokes may know a subject by that
// claim or by sub. Either reaches the token and what was minted of it, along a chain.
func TestEitherSubjectEndsWhatWasMinted(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	key := idp.Transmits(t)
	caddyfile := strings.NewReplacer(
		"audience https://api.example.com orders\n", "audience https://api.example.com orders\nclaims {\nsubject email\n}\n",
		"$AGE", "", "$SEAL", "$SEAL\nclient gateway {\nissuer main\nclient_id gateway\nsecret canary-client-secret\n}\n",
		"\ttoken_service {", "token_events {\nbackchannel_logout main\nshared_signals main https://gateway.example.com/signals\n}\n\ttoken_service {",
	).Replace(derivedOwnCaddyfile)
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$HASH", harness.ServiceHash(),
		"$SEAL", "seal 0123456789abcdef0123456789abcdef-canary")
	says, o := speaker{gateway, idp, key}, &own{gateway, t, idp, upstream}
	tokenOf := func(sub string) string {
		return idp.Token(map[string]any{
			"sub": sub, "email": sub + "@example.com", "aud": []string{"orders", "https://api.example.com"}, "iat": time.Now().Unix(),
		})
	}
	gateway.Await("/out/", tokenOf("nobody"), http.StatusOK)
	for sub, end := range map[string]func(sub string){
		"by-claim":  func(sub string) { revoke(t, gateway, orderOf(t, "subject", "main", sub+"@example.com")) },
		"by-sub":    func(sub string) { revoke(t, gateway, orderOf(t, "subject", "main", sub)) },
		"by-logout": func(sub string) { says.logout(t, sub) },
		"by-signal": func(sub string) { says.signal(t, sub) },
	} {
		held, other := tokenOf(sub), tokenOf(sub+"x")
		first, others := o.exchanged("orders", held, "stock"), o.minted(other)
		derived := map[string]string{"minted": o.minted(held), "first hop": first, "second hop": o.exchanged("stock", first, "orders")}
		end(sub)
		o.Get("/out/", held).Expect(t, http.StatusUnauthorized)
		for what, token := range derived {
			o.wantGood(sub+": "+what, token, false)
		}
		o.wantGood(sub+": another's", others, true)
	}
}
