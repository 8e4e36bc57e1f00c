package test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actTokenService(t *testing.T, s *stage) {
	t.Helper()
	const billing = "https://billing.example.com"
	exchange := func(more ...string) harness.Answer {
		form := harness.ExchangeForm("orders", s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read admin"}), more...)
		form.Del("client_id")
		form.Del("client_secret")
		now := time.Now()
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", s.key.Sign(map[string]any{"typ": "client-authentication+jwt"}, map[string]any{
			"iss": "orders", "sub": "orders", "aud": s.URL, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}))
		return s.Post("/oauth2/token", form)
	}
	harness.Eventually(t, "the issuer's keys", func() bool { return exchange().Status == http.StatusOK })
	claims := harness.Claims(t, exchange("audience", billing).Expect(t, http.StatusOK).AccessToken())
	act, _ := claims["act"].(map[string]any)
	if claims["aud"] != billing || claims["sub"] != "alice" || claims["scope"] != "billing:read" || act["sub"] != "client:orders" {
		t.Errorf("orders gets %v", claims)
	}
	exchange("audience", "stock").Expect(t, http.StatusBadRequest)

	reference := s.Post("/oauth2/token", harness.ServiceForm("nightly", "grant_type", "client_credentials")).Expect(t, http.StatusOK).AccessToken()
	if !strings.HasPrefix(reference, "ghr_") {
		t.Errorf("nightly gets %q", reference)
	}
	about := func() map[string]any {
		return s.Post("/oauth2/introspect", harness.ServiceForm(billing, "token", reference)).Expect(t, http.StatusOK).Members()
	}
	if said := about(); said["active"] != true || said["sub"] != "client:nightly" || said["scope"] != "billing:read billing:write" {
		t.Errorf("billing hears %v", said)
	}
	s.Post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"nightly"}}).Expect(t, http.StatusUnauthorized)
	s.Post("/oauth2/revoke", harness.ServiceForm("nightly", "token", reference)).Expect(t, http.StatusOK)
	if said := about(); said["active"] != false {
		t.Errorf("after it was revoked billing hears %v", said)
	}
}
