package attack_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A token has one use: what is issued for a service opens no front door, what is
// signed for another purpose is no access token, and a reference is nothing without
// the service.
func TestAttack48OtherTokensAtService(t *testing.T) {
	t.Parallel()
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
