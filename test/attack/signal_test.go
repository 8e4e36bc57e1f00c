package attack_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// signalCaddyfile is a gateway that listens to two issuers.
const signalCaddyfile = `{
	debug
	gatehouse {
		issuer a $ISSUER_A {
			audience https://api.example.com
		}
		issuer b $ISSUER_B {
			audience https://api.example.com
		}
		client a {
			issuer a
			client_id gateway
			secret canary-client-secret
		}
		client b {
			issuer b
			client_id gateway
			secret canary-client-secret
		}
	}
}
$SITE {
	token_events {
		backchannel_logout a b
		shared_signals a https://gateway.example.com/signals
		shared_signals b https://gateway.example.com/signals
	}
	token_auth a b
	respond in
}
`

// A listener is a gateway that takes signals, and those who send them.
type listener struct {
	*harness.Gateway

	t          *testing.T
	a, b       *harness.AuthServer
	ssfA, ssfB *tokentest.Key // sign the signals of a and b
	thief      *tokentest.Key
	victim     string // alice's token of a
}

func listening(t *testing.T) *listener {
	t.Helper()
	l := &listener{t: t, a: harness.NewAuthServer(t), b: harness.NewAuthServer(t), thief: tokentest.NewKey(t, "ES256", "k1")}
	l.ssfA, l.ssfB = l.a.Transmits(t), l.b.Transmits(t)
	l.Gateway = harness.Start(t, signalCaddyfile, "$ISSUER_A", l.a.URL, "$ISSUER_B", l.b.URL)
	l.victim = l.a.Token(map[string]any{"sid": "session-1"})
	l.Await("/", l.victim, http.StatusOK)
	l.Await("/", l.b.Token(nil), http.StatusOK)
	for _, issuer := range []*harness.AuthServer{l.a, l.b} {
		verification := map[string]any{harness.EventVerification: map[string]any{"state": "s"}}
		key := l.ssfA
		if issuer == l.b {
			key = l.ssfB
		}
		harness.Eventually(t, "the transmitter's keys", func() bool {
			return l.Push(l.signed(key, issuer.SETClaims(map[string]any{"events": verification}))).Status == http.StatusAccepted
		})
	}
	return l
}

func (*listener) signed(key *tokentest.Key, claims map[string]any) string {
	return key.Sign(map[string]any{"typ": "secevent+jwt"}, claims)
}

// untouched expects that the victim's token is good.
func (l *listener) untouched(t *testing.T) {
	t.Helper()
	l.Get("/", l.victim).Expect(t, http.StatusOK)
}

// end looks for what must not be in the log.
func (l *listener) end() {
	l.t.Helper()
	log := l.Log()
	if at := harness.PartOfToken.FindStringIndex(log); at != nil {
		l.t.Errorf("the log holds a part of a token: %s", log[max(0, at[0]-300):at[1]])
	}
}

// forgeries are texts with claims that the issuer never signed.
func (l *listener) forgeries(typ string, key *tokentest.Key, claims func(map[string]any) map[string]any) map[string]string {
	header := map[string]any{"typ": typ}
	good := key.Sign(header, claims(nil))
	parts := strings.Split(good, ".")
	texts := map[string]string{
		"another key":       (&tokentest.Key{ID: key.ID, Algorithm: "ES256", Private: l.thief.Private}).Sign(header, claims(nil)),
		"unknown kid":       key.Sign(map[string]any{"typ": typ, "kid": "../k1"}, claims(nil)),
		"own key in header": l.thief.Sign(map[string]any{"typ": typ, "jwk": l.thief.JWK(), "kid": "k1"}, claims(nil)),
		"no signature":      parts[0] + "." + parts[1] + ".",
		"changed claims":    parts[0] + "." + tokentest.Encode(tokentest.JSON(claims(map[string]any{"jti": rand.Text()}))) + "." + parts[2],
		"two parts":         parts[0] + "." + parts[1],
		"dots":              strings.Repeat(".", 8<<10),
		"deep":              key.SignRaw(tokentest.JSON(map[string]any{"alg": "ES256", "typ": typ, "kid": key.ID}), []byte(strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000))),
		"huge":              key.Sign(header, claims(map[string]any{"x": strings.Repeat("x", 64<<10)})),
		"doubled member": key.SignRaw(tokentest.JSON(map[string]any{"alg": "ES256", "typ": typ, "kid": key.ID}),
			[]byte(strings.Replace(string(tokentest.JSON(claims(nil))), "{", `{"jti":"x",`, 1))),
	}
	for _, alg := range []string{"none", "NoNe", "HS256"} {
		head := map[string]any{"alg": alg, "typ": typ, "kid": key.ID}
		texts[alg] = tokentest.Encode(tokentest.JSON(head)) + "." + tokentest.Encode(tokentest.JSON(claims(nil))) + ".AA"
		for form, secret := range publicForms(l.t, key) {
			texts[alg+" with "+form] = tokentest.HS256(secret, head, claims(nil))
		}
	}
	return texts
}

func TestAttack31LogoutTokens(t *testing.T) {
	l := listening(t)
	session := func(changes map[string]any) map[string]any {
		all := map[string]any{"sid": "session-1"}
		maps.Copy(all, changes)
		return l.a.LogoutClaims(all)
	}
	texts := l.forgeries("logout+jwt", l.a.Key, session)
	sign := func(typ any, changes map[string]any) string {
		return l.a.Key.Sign(map[string]any{"typ": typ}, session(changes))
	}
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, changes := range map[string]map[string]any{
		"another audience": {"aud": "gateway-admin"}, "no audience": {"aud": nil}, "nonce": {"nonce": "n"}, "no jti": {"jti": nil},
		"no iat": {"iat": nil}, "stale": {"iat": ago(10 * time.Minute), "exp": nil}, "future": {"iat": ago(-10 * time.Minute)}, "expired": {"exp": ago(time.Minute)},
		"no events": {"events": nil}, "wrong events": {"events": map[string]any{harness.EventSessionRevoked: map[string]any{}}},
		"both events": {"events": map[string]any{harness.EventSessionRevoked: map[string]any{}, harness.EventLogout: map[string]any{}}},
		"nobody":      {"sid": nil, "sub": nil}, "foreign issuer": {"iss": l.b.URL}, "stranger": {"iss": "https://stranger.example.com"},
	} {
		texts[name] = sign("logout+jwt", changes)
	}
	texts["b in a's name"] = l.b.Key.Sign(map[string]any{"typ": "logout+jwt"}, session(nil))
	texts["ID token"] = sign("JWT", map[string]any{"events": nil, "nonce": "n"})
	texts["access token"] = l.victim
	texts["SET"] = l.signed(l.a.Key, session(nil))
	texts["key of signals"] = l.ssfA.Sign(map[string]any{"typ": "logout+jwt"}, session(nil))
	texts["nothing"] = ""
	for name, text := range texts {
		answer := l.Logout(text)
		if answer.Status != http.StatusBadRequest || answer.Members()["error"] != "invalid_request" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, answer.Status, answer.Header, answer.Body)
		}
	}
	l.untouched(t)
	// b logs out its own session of that name, and no other's.
	l.Logout(l.b.LogoutToken(map[string]any{"sid": "session-1"})).Expect(t, http.StatusOK)
	l.untouched(t)
	good := l.a.LogoutToken(map[string]any{"sid": "session-1"})
	l.Logout(good).Expect(t, http.StatusOK)
	l.Get("/", l.victim).Expect(t, http.StatusUnauthorized)
	l.Logout(good).Expect(t, http.StatusBadRequest)
	l.end()
}

func TestAttack31SecurityEventTokens(t *testing.T) {
	l := listening(t)
	claims := func(changes map[string]any) map[string]any { return l.a.SETClaims(changes) }
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	about := func(issuer string) map[string]any {
		return map[string]any{"format": "iss_sub", "iss": issuer, "sub": "alice"}
	}
	texts := l.forgeries("secevent+jwt", l.ssfA, claims)
	for name, changes := range map[string]map[string]any{
		"another audience": {"aud": "gateway"}, "no audience": {"aud": nil}, "no jti": {"jti": nil}, "no iat": {"iat": nil},
		"stale": {"iat": ago(8 * 24 * time.Hour)}, "future": {"iat": ago(-10 * time.Minute)}, "exp": {"exp": ago(-time.Minute)}, "sub": {"sub": "alice"},
		"no events": {"events": nil}, "nobody": {"sub_id": nil}, "foreign issuer": {"iss": l.b.URL},
		"logout as well": {"events": map[string]any{harness.EventSessionRevoked: map[string]any{}, harness.EventLogout: map[string]any{}}},
	} {
		texts[name] = l.signed(l.ssfA, claims(changes))
	}
	// b is believed, and says nothing of a's tokens.
	texts["b of a's subject"] = l.signed(l.ssfB, l.b.SETClaims(map[string]any{"sub_id": about(l.a.URL)}))
	texts["b in a's name"] = l.signed(l.ssfB, claims(nil))
	texts["b of a's session"] = l.signed(l.ssfB, l.b.SETClaims(map[string]any{"sub_id": map[string]any{
		"format": "complex", "user": about(l.a.URL), "session": map[string]any{"format": "opaque", "id": "session-1"},
	}}))
	texts["key of access tokens"] = l.signed(l.a.Key, claims(nil))
	texts["access token"] = l.victim
	texts["ID token"] = l.ssfA.Sign(map[string]any{"typ": "JWT"}, claims(map[string]any{"nonce": "n"}))
	texts["logout token"] = l.ssfA.Sign(map[string]any{"typ": "logout+jwt"}, claims(nil))
	for name, text := range texts {
		answer := l.Push(text)
		code := fmt.Sprint(answer.Members()["err"])
		if answer.Status != http.StatusBadRequest || code == "" || answer.Members()["description"] == "" || answer.Header.Get("Content-Language") == "" {
			t.Errorf("%s: %d %v %s", name, answer.Status, answer.Header, answer.Body)
		}
	}
	l.untouched(t)
	l.Push(l.signed(l.ssfB, l.b.SETClaims(nil))).Expect(t, http.StatusAccepted)
	l.untouched(t)
	good := l.signed(l.ssfA, claims(nil))
	l.Push(good).Expect(t, http.StatusAccepted)
	l.Get("/", l.victim).Expect(t, http.StatusUnauthorized)
	// A login after that is another one: the same signal once more does not end it.
	later := l.a.Token(map[string]any{"iat": ago(-5 * time.Second)})
	l.Push(good).Expect(t, http.StatusAccepted)
	l.Get("/", later).Expect(t, http.StatusOK)
	l.end()
}

func TestAttack48SignalsAtFrontDoor(t *testing.T) {
	l := listening(t)
	access := map[string]any{"aud": []string{"https://api.example.com", harness.ClientID, harness.Stream}, "exp": time.Now().Add(time.Minute).Unix()}
	for name, text := range map[string]string{
		"logout token":           l.a.LogoutToken(access),
		"logout token as JWT":    l.a.Key.Sign(map[string]any{"typ": "JWT"}, l.a.LogoutClaims(access)),
		"SET":                    l.signed(l.a.Key, l.a.SETClaims(access)),
		"SET as an access token": l.a.Key.Sign(nil, l.a.SETClaims(access)),
	} {
		if answer := l.Get("/", text); answer.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, answer.Status)
		}
	}
	l.untouched(t)
	l.end()
}
