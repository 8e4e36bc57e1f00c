package integration_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// S14: rights that are not understood are refused and never passed over, whoever asks for
// them and however they look. Who is not known hears of that first.
func TestS14AuthorizationDetailsAreRefused(t *testing.T) {
	t.Parallel()
	gateway, idp := startServed(t)
	subject := idp.Token(map[string]any{"aud": "orders", "scope": "billing:read"})
	reference := idp.Token(map[string]any{"aud": "phantom", "scope": "billing:read"})
	asks := map[string]func(pairs ...string) url.Values{
		"its own token": func(pairs ...string) url.Values {
			return harness.ServiceForm("orders", append([]string{"grant_type", "client_credentials", "audience", "stock"}, pairs...)...)
		},
		"an exchange": func(pairs ...string) url.Values {
			return harness.ExchangeForm("orders", subject, append([]string{"audience", "stock"}, pairs...)...)
		},
		"a reference": func(pairs ...string) url.Values { return harness.ExchangeForm("phantom", reference, pairs...) },
	}
	refused := 0
	for name, form := range asks {
		for _, details := range []string{`[{"type":"canary-payment","actions":["pay"]}]`, "[]", "{}", "null", "canary"} {
			t.Run(name+", "+details, func(t *testing.T) {
				answer := gateway.Post("/oauth2/token", form("authorization_details", details)).Expect(t, http.StatusBadRequest)
				expectHeader(t, answer, "Cache-Control", "no-store")
				if members := answer.Members(); members["error"] != "invalid_authorization_details" || members["access_token"] != nil {
					t.Errorf("the refusal is %s", answer.Body)
				}
				if strings.Contains(answer.Body, "canary") {
					t.Errorf("what was asked for is in the answer: %s", answer.Body)
				}
				if answer.Status == http.StatusBadRequest {
					refused++
				}
			})
		}
		gateway.Post("/oauth2/token", form()).Expect(t, http.StatusOK)
		// An empty parameter is none (RFC 6749, section 3.2).
		empty := form()
		empty.Set("authorization_details", "")
		gateway.Post("/oauth2/token", empty).Expect(t, http.StatusOK)
	}
	stranger := asks["its own token"]("authorization_details", "[]", "client_secret", "wrong")
	if answer := gateway.Post("/oauth2/token", stranger).Expect(t, http.StatusUnauthorized); answer.Members()["error"] != "invalid_client" {
		t.Errorf("a stranger hears %s", answer.Body)
	}
	harness.Eventually(t, "the trail has each refusal", func() bool {
		said := 0
		for _, line := range gateway.Audit() {
			if line["rule"] == "authorization_details" && line["msg"] == "denied" && line["issued_jti"] == nil {
				said++
			}
		}
		return said == refused
	})
	if strings.Contains(gateway.Log(), "canary-payment") {
		t.Error("what was asked for is in the log")
	}
}
