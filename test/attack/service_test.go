package attack_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestAttack01AlgorithmConfusionAtService(t *testing.T) {
	s := serving(t)
	s.granted(s.exchange("orders", s.subject(nil)))
	s.granted(s.asserting(s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", nil))))
	subjects, assertions := make(map[string]string), make(map[string]string)
	for _, alg := range []string{"HS256", "HS384", "HS512", "none"} {
		for what, secret := range publicForms(t, s.a.Key) {
			header := map[string]any{"alg": alg, "kid": "k1", "typ": "at+jwt"}
			subjects[what+" with "+alg] = tokentest.HS256(secret, header, s.claims(nil))
		}
		for what, secret := range publicForms(t, s.keyed) {
			header := map[string]any{"alg": alg, "kid": "keyed-1", "typ": "JWT"}
			assertions[what+" with "+alg] = tokentest.HS256(secret, header, s.assertionOf("keyed", nil))
		}
	}
	allSubjectsDenied(t, subjects)
	allAssertionsDenied(t, assertions)
}

func TestAttack02NoSignatureAtService(t *testing.T) {
	s := serving(t)
	good := s.subject(nil)
	assertion := s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", nil))
	spoil := func(good string, claims func() map[string]any, kid string) map[string]string {
		parts := strings.Split(good, ".")
		spoiled := map[string]string{
			"empty third part": parts[0] + "." + parts[1] + ".", "two parts": parts[0] + "." + parts[1], "dots only": "..",
			"a fourth part": good + "." + parts[2], "zeros": parts[0] + "." + parts[1] + "." + tokentest.Encode(make([]byte, 64)),
		}
		for _, alg := range []any{"none", "NoNe", "", nil, 0, []string{"none"}} {
			header := tokentest.JSON(map[string]any{"alg": alg, "kid": kid})
			spoiled[fmt.Sprintf("alg %v", alg)] = tokentest.Encode(header) + "." + tokentest.Encode(tokentest.JSON(claims())) + "."
		}
		return spoiled
	}
	allSubjectsDenied(t, spoil(good, func() map[string]any { return s.claims(nil) }, "k1"))
	allAssertionsDenied(t, spoil(assertion, func() map[string]any { return s.assertionOf("keyed", nil) }, "keyed-1"))
	s.granted(s.exchange("orders", good))
	s.granted(s.asserting(assertion))
}

func TestAttack03EmbeddedKeyAtService(t *testing.T) {
	s := serving(t)
	subjects, assertions := make(map[string]string), make(map[string]string)
	for name, header := range map[string]map[string]any{
		"jwk": {"jwk": s.thief.JWK()}, "jku": {"jku": s.trap.URL + "/jwks"}, "x5u": {"x5u": s.trap.URL},
		"x5c": {"x5c": []string{selfSigned(t, s.thief)}},
	} {
		subjects[name] = s.thief.Sign(header, s.claims(nil))
		header["typ"] = "JWT"
		assertions[name] = s.thief.Sign(header, s.assertionOf("keyed", nil))
	}
	allSubjectsDenied(t, subjects)
	allAssertionsDenied(t, assertions)
	s.trap.untouched(t)
}

func TestAttack04KeyIDAtService(t *testing.T) {
	s := serving(t)
	subjects, assertions := make(map[string]string), make(map[string]string)
	for _, kid := range []any{
		"../../dev/null", "/dev/null", s.trap.URL + "/jwks", "k1' OR '1'='1", "k1\x00", strings.Repeat("k", 8<<10), 1, true,
		[]string{"k1"},
		map[string]any{"k": 1},
		"",
	} {
		name := fmt.Sprintf("%.30q", fmt.Sprint(kid))
		subjects[name] = s.thief.Sign(map[string]any{"kid": kid}, s.claims(nil))
		assertions[name] = s.thief.Sign(map[string]any{"kid": kid, "typ": "JWT"}, s.assertionOf("keyed", nil))
	}
	allSubjectsDenied(t, subjects)
	allAssertionsDenied(t, assertions)
	s.trap.untouched(t)
}

// Both issuers have a key k1; each speaks for its own users, and only to clients
// that may exchange its tokens.
func TestAttack05ForeignIssuerAtService(t *testing.T) {
	s := serving(t)
	for _, issuer := range []*harness.AuthServer{s.a, s.b} {
		claims := harness.Claims(t, s.granted(s.exchange("both", issuer.Token(map[string]any{"aud": "both", "scope": "billing:read"}))))
		if sub, _ := claims["sub"].(string); sub != issuer.URL+"#alice" {
			t.Errorf("alice of %s is %s", issuer.URL, sub)
		}
	}
	allSubjectsDenied(t, map[string]string{
		"b's own token":           s.b.Key.Sign(nil, s.b.Claims(map[string]any{"aud": "orders"})),
		"b signs for a":           s.b.Key.Sign(nil, s.claims(nil)),
		"a signs for b":           s.a.Key.Sign(nil, s.b.Claims(map[string]any{"aud": "orders"})),
		"a signs for the gateway": s.a.Key.Sign(nil, tokentest.Claims(s.gateway.URL, map[string]any{"aud": "orders"})),
		"a stranger":              s.thief.Sign(nil, tokentest.Claims(s.trap.URL, map[string]any{"aud": "orders"})),
	})
	own := s.granted(s.gateway.Post("/oauth2/token", harness.ServiceForm("both", "grant_type", "client_credentials", "audience", "stock")))
	s.denied(s.exchange("orders", own), http.StatusBadRequest, "invalid_request", badSubject)
	s.trap.untouched(t)
}

func TestAttack06AudienceAtService(t *testing.T) {
	s := serving(t)
	s.granted(s.exchange("orders", s.subject(map[string]any{"aud": []string{"x", "orders"}})))
	s.granted(s.exchange("orders", s.subject(map[string]any{"aud": s.gateway.URL})))
	subjects := map[string]string{"none": s.subject(map[string]any{"aud": nil})}
	for _, aud := range []any{
		"both", "order", "orders-admin", "Orders", " orders", "https://billing.example.com", s.gateway.URL + "/", s.gateway.URL + "/oauth2/token",
		[]string{"a", "b"},
		[]string{},
		1, true,
		map[string]any{"orders": true},
		[]any{"orders", 1},
	} {
		subjects[fmt.Sprintf("%.60v", aud)] = s.subject(map[string]any{"aud": aud})
	}
	allSubjectsDenied(t, subjects)
	assertions := make(map[string]string)
	for _, aud := range []any{s.gateway.URL + "/oauth2/token", s.gateway.URL + "/", s.a.URL, []string{s.gateway.URL, s.a.URL}, nil, 1} {
		assertions[fmt.Sprintf("aud %.60v", aud)] = s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", map[string]any{"aud": aud}))
	}
	allAssertionsDenied(t, assertions)
}

func TestAttack07IDTokenAtService(t *testing.T) {
	s := serving(t)
	subjects := make(map[string]string)
	for name, changes := range map[string]map[string]any{
		"nonce": {"nonce": "n"}, "at_hash": {"at_hash": "h"}, "typ ID": {"typ": "ID"}, "token_use": {"token_use": "id"}, "events": {"events": map[string]any{}},
	} {
		subjects[name] = s.a.Key.Sign(map[string]any{"typ": "JWT"}, s.claims(changes))
	}
	allSubjectsDenied(t, subjects)
	for _, kind := range []string{"id_token", "jwt", "saml2", "refresh_token"} {
		answer := s.exchange("orders", s.subject(nil), "subject_token_type", "urn:ietf:params:oauth:token-type:"+kind)
		s.denied(answer, http.StatusBadRequest, "invalid_request", "The client may not send tokens of this type.")
	}
}

func TestAttack08DatesAtService(t *testing.T) {
	s := serving(t)
	now := float64(time.Now().Unix())
	subjects := make(map[string]string)
	for _, exp := range []any{nil, 1e300, 253402300800, -1, 0, now - 31, now - 1, fmt.Sprint(now + 60), "", true, []float64{now + 60}} {
		subjects[fmt.Sprintf("exp %v", exp)] = s.subject(map[string]any{"exp": exp})
	}
	for _, nbf := range []any{now + 90, 1e300, "0", true} {
		subjects[fmt.Sprintf("nbf %v", nbf)] = s.subject(map[string]any{"nbf": nbf})
	}
	allSubjectsDenied(t, subjects)
	assertions := make(map[string]string)
	for _, exp := range []any{nil, 1e300, now + 3600, now - 60, fmt.Sprint(now + 60), true, []float64{now}} {
		assertions[fmt.Sprintf("exp %v", exp)] = s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", map[string]any{"exp": exp}))
	}
	allAssertionsDenied(t, assertions)
}

func TestAttack09ClaimTypesAtService(t *testing.T) {
	s := serving(t)
	subjects, assertions := make(map[string]string), make(map[string]string)
	for _, value := range []any{1, true, []any{1, map[string]any{}}, []any{[]any{"x"}}} {
		for _, name := range []string{"sub", "iss", "jti", "scope", "act", "client_id", "acr"} {
			subjects[fmt.Sprintf("%s %v", name, value)] = s.subject(map[string]any{name: value})
		}
		for _, name := range []string{"sub", "iss", "jti"} {
			assertions[fmt.Sprintf("%s %v", name, value)] = s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf("keyed", map[string]any{name: value}))
		}
	}
	for _, payload := range []string{`[]`, `"text"`, `null`, `{}`, `{`, strings.Repeat(`{"a":`, 500) + `1` + strings.Repeat(`}`, 500)} {
		subjects["payload "+payload[:1]+fmt.Sprint(len(payload))] = s.a.Key.SignRaw([]byte(`{"alg":"ES256","kid":"k1"}`), []byte(payload))
		assertions["payload "+payload[:1]+fmt.Sprint(len(payload))] = s.keyed.SignRaw([]byte(`{"alg":"ES256","kid":"keyed-1"}`), []byte(payload))
	}
	allSubjectsDenied(t, subjects)
	allAssertionsDenied(t, assertions)
}

func TestAttack10DuplicateMembersAtService(t *testing.T) {
	s := serving(t)
	payload := func(more string) []byte {
		return fmt.Appendf(nil, `{"iss":%q,"aud":"orders","exp":%d,"sub":"alice","scope":"billing:read"%s}`, s.a.URL, time.Now().Unix()+60, more)
	}
	header := []byte(`{"alg":"ES256","kid":"k1"}`)
	s.granted(s.exchange("orders", s.a.Key.SignRaw(header, payload(""))))
	allSubjectsDenied(t, map[string]string{
		"sub twice":   s.a.Key.SignRaw(header, payload(`,"sub":"mallory"`)),
		"scope twice": s.a.Key.SignRaw(header, payload(`,"scope":"admin"`)),
		"in act":      s.a.Key.SignRaw(header, payload(`,"act":{"sub":"x","sub":"y"}`)),
		"kid twice":   s.a.Key.SignRaw([]byte(`{"alg":"ES256","kid":"k1","kid":"k1"}`), payload("")),
		"text behind": s.a.Key.SignRaw(header, append(payload(""), '}')),
	})
	// The same of the request itself: two readers of one form must not see two things.
	good := harness.ExchangeForm("orders", s.subject(nil), "audience", "stock")
	for _, name := range []string{"grant_type", "client_id", "client_secret", "subject_token", "subject_token_type", "scope", "requested_token_type"} {
		form := good.Encode() + "&" + name + "=a&" + name + "=a"
		request, err := http.NewRequest(http.MethodPost, s.gateway.URL+"/oauth2/token", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s.denied(s.gateway.Do(request), http.StatusBadRequest, "invalid_request", "A parameter is repeated that may stand once.")
	}
}

// What nobody verified is in no answer, and in no log.
func TestAttack11UnverifiedAtService(t *testing.T) {
	s := serving(t)
	forged := s.thief.Sign(map[string]any{"kid": "canary-kid"}, s.claims(map[string]any{
		"sub": "canary-sub", "client_id": "canary-client", "scope": "canary-scope", "jti": "canary-jti", "act": map[string]any{"sub": "canary-actor"},
	}))
	answers := []harness.Answer{
		s.exchange("orders", forged),
		s.asserting(s.thief.Sign(map[string]any{"kid": "canary-kid"}, s.assertionOf("canary-client", map[string]any{"jti": "canary-jti"}))),
		s.exchange("canary-client", forged),
		s.exchange("orders", s.subject(nil), "actor_token", forged, "actor_token_type", harness.TypeAccessToken),
		s.gateway.Post("/oauth2/introspect", harness.ServiceForm("orders", "token", forged)),
		s.gateway.Post("/oauth2/revoke", harness.ServiceForm("orders", "token", forged)),
	}
	for n, answer := range answers {
		if strings.Contains(answer.Body+fmt.Sprint(answer.Header), "canary") {
			t.Errorf("answer %d repeats what nobody verified: %s", n, answer.Body)
		}
	}
	for _, canary := range []string{"canary-kid", "canary-sub", "canary-jti", "canary-client", "canary-scope", "canary-actor"} {
		if strings.Contains(s.gateway.Log(), canary) {
			t.Errorf("the log holds %s, which nobody verified", canary)
		}
	}
}

// Client and identifier of an assertion are told apart whatever is in them.
func TestAttack19DelimitersAtService(t *testing.T) {
	s := serving(t)
	sign := func(client, id string) string {
		return s.keyed.Sign(map[string]any{"typ": "JWT"}, s.assertionOf(client, map[string]any{"jti": id}))
	}
	for _, pair := range [][2]string{{"keyed", "|2x"}, {"keyed|2", "x"}, {"keyed", "2|x"}, {"keyed|2", "|x"}, {"keyed", ":x"}, {"keyed", "|2:x"}} {
		s.granted(s.asserting(sign(pair[0], pair[1])))
		s.denied(s.asserting(sign(pair[0], pair[1])), http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not prove itself.")
	}
	// An audience is one value, blanks and commas included.
	for _, audience := range []string{"stock https://billing.example.com", "stock,https://billing.example.com", "stock\thttps://billing.example.com"} {
		answer := s.gateway.Post("/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials", "audience", audience))
		if answer.Status != http.StatusBadRequest {
			t.Errorf("%q: %d", audience, answer.Status)
		}
	}
}

func TestAttack24PartsAtService(t *testing.T) {
	s := serving(t)
	dots := strings.Repeat(".", 50<<10)
	s.denied(s.exchange("orders", dots), http.StatusBadRequest, "invalid_request", badSubject)
	s.denied(s.asserting(dots), http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not prove itself.")
	s.denied(s.exchange("orders", strings.Repeat(".", 100<<10)), http.StatusBadRequest, "invalid_request", "The body is not the form that this endpoint reads.")
	many := harness.ExchangeForm("orders", s.subject(nil))
	for n := range 200 {
		many.Set(fmt.Sprint("x", n), "y")
	}
	s.denied(s.gateway.Post("/oauth2/token", many), http.StatusBadRequest, "invalid_request", "The body is not the form that this endpoint reads.")
	s.granted(s.exchange("orders", s.subject(nil)))
}

func TestAttack37SeveralCredentialsAtService(t *testing.T) {
	s := serving(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("orders:"+harness.ServiceSecret))
	form := harness.ExchangeForm("orders", s.subject(nil), "audience", "stock")
	send := func(form url.Values, query string, authorization ...string) harness.Answer {
		request := s.gateway.PostRequest("/oauth2/token"+query, form)
		request.Header["Authorization"] = authorization
		return s.gateway.Do(request)
	}
	const twoWays = "The client proves itself in more than one way."
	s.denied(send(form, "", basic), http.StatusBadRequest, "invalid_request", twoWays)
	s.denied(send(form, "", "Bearer "+s.subject(nil)), http.StatusBadRequest, "invalid_request", twoWays)
	form.Del("client_secret")
	s.denied(send(form, "", basic, basic), http.StatusBadRequest, "invalid_request", twoWays)
	s.denied(send(form, "?client_secret="+harness.ServiceSecret[:3]), http.StatusBadRequest, "invalid_request", "Parameters belong in the body, not in the URL.")
	s.granted(send(form, "", basic))
}

// Whatever is asked for, nothing grows.
func TestAttack45WideningAtService(t *testing.T) {
	s := serving(t)
	in := time.Now().Add(20 * time.Second).Unix()
	subject := s.subject(map[string]any{"scope": "billing:read", "exp": in})
	claims := harness.Claims(t, s.granted(s.exchange("orders", subject, "scope", "billing:read orders:read admin")))
	if exp, _ := claims["exp"].(float64); claims["scope"] != "billing:read" || int64(exp) > in || claims["aud"] != "https://billing.example.com" {
		t.Errorf("the token says %v", claims)
	}
	for _, scope := range []string{"orders:read", "admin", "*", "billing", "billing:read2", "openid offline_access"} {
		s.denied(s.exchange("orders", subject, "scope", scope), http.StatusBadRequest, "invalid_scope", "Nothing of the requested scope can be granted.")
	}
	for _, audience := range []string{"admin", "*", "https://billing.example.com/", "https://billing.example.com.evil.example", s.gateway.URL} {
		s.denied(s.exchange("orders", subject, "audience", audience), http.StatusBadRequest, "invalid_target", "Ask for one target that the client may have.")
	}
	for _, name := range []string{"lifetime", "expires_in", "sub", "subject", "act", "claims", "username"} {
		again := harness.Claims(t, s.granted(s.exchange("orders", subject, name, "3600")))
		if exp, _ := again["exp"].(float64); int64(exp) > in || again["sub"] != claims["sub"] {
			t.Errorf("%s changed the token: %v", name, again)
		}
	}
}

// A token has one use: what is issued for a service opens no front door, what is
// signed for another purpose is no access token, and a reference is nothing without
// the service.
func TestAttack48OtherTokensAtService(t *testing.T) {
	s := serving(t)
	issued := s.granted(s.exchange("orders", s.subject(nil)))
	stock := s.granted(s.exchange("orders", s.subject(nil), "audience", "stock"))
	reference := s.granted(s.exchange("phantom", s.a.Token(map[string]any{"aud": "phantom", "scope": "billing:read"})))
	assertion := s.keyed.Sign(map[string]any{"typ": "client-authentication+jwt"}, s.assertionOf("keyed", nil))
	signed := s.gateway.PostRequest("/oauth2/introspect", harness.ServiceForm("orders", "token", issued))
	signed.Header.Set("Accept", "application/token-introspection+jwt")
	about := s.gateway.Do(signed).Expect(t, http.StatusOK).Body
	s.gateway.Await("/self/", issued, http.StatusOK)
	for name, text := range map[string]string{"issued": issued, "reference": reference, "assertion": assertion, "introspection answer": about} {
		s.gateway.Get("/front/", text).Expect(t, http.StatusUnauthorized)
		if name != "issued" {
			s.gateway.Get("/self/", text).Expect(t, http.StatusUnauthorized)
		}
	}
	s.gateway.Get("/self/", stock).Expect(t, http.StatusUnauthorized)
	allSubjectsDenied(t, map[string]string{
		"a token for another service": issued, "a reference of another client": reference, "an assertion": assertion, "an introspection answer": about,
	})
}
