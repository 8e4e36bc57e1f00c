package integration_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// ownRules is a token service that takes back tokens of its own, by the rules of a
// block.
const ownRules = `{
	gatehouse {
		issuer main $IDP {
			audience orders
		}
		issuer self $SITE {
			audience https://billing.example.com
			leeway 0s
			$RULES
		}
		seal 0123456789abcdef0123456789abcdef-canary
		sign {
			issuer $SITE
			subject pairwise
		}
	}
}
(service) {
	auth secret_hash $HASH
	grants client_credentials token_exchange
	subject_issuer main self
	subject_type access_token
	audience https://billing.example.com stock jw robot
	scope billing:read
	actor robot
}
$SITE {
	token_service {
		endpoints jwks metadata token
		client jw {
			import service
		}
		client robot {
			import service
		}
	}
}
`

// A token of the gateway's own is exchanged by the rules of the block with its URL, as
// anybody's is, and so is one of who acts.
func TestServiceRulesOfItsOwnBlock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules   string
		refused bool
	}{
		"no rule":           {"", false},
		"what it says":      {"require_claims client_id", false},
		"its type":          {"token_type at+jwt", false},
		"its algorithm":     {"algorithms RS256 ES256", false},
		"young enough":      {"max_token_age 1h", false},
		"an absent claim":   {"require_claims tenant", true},
		"another type":      {"token_type JWT", true},
		"another algorithm": {"algorithms RS256", true},
		"too old":           {"max_token_age 2s", true},
		"another subject":   {"claims {\nsubject tenant\n}", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp := harness.NewAuthServer(t)
			gateway := harness.Start(t, ownRules, "$IDP", idp.URL, "$HASH", harness.ServiceHash(), "$RULES", test.rules)
			send := func(subject string, pairs ...string) harness.Answer {
				return gateway.Post("/oauth2/token", harness.ExchangeForm("jw", subject, pairs...))
			}
			held := idp.Token(map[string]any{"aud": "jw", "scope": "billing:read"})
			harness.Eventually(t, "the issuer's keys", func() bool { return send(held, "audience", "stock").Status == http.StatusOK })
			own := send(held, "audience", "jw").Expect(t, http.StatusOK).AccessToken()
			acts := gateway.Post("/oauth2/token", harness.ServiceForm("robot", "grant_type", "client_credentials", "audience", "jw")).
				Expect(t, http.StatusOK).AccessToken()
			asSubject := func() harness.Answer { return send(own, "audience", "stock") }
			asActor := func() harness.Answer {
				return send(held, "audience", "stock", "actor_token", acts, "actor_token_type", harness.TypeAccessToken)
			}
			for what, again := range map[string]func() harness.Answer{"subject": asSubject, "actor": asActor} {
				if !test.refused {
					again().Expect(t, http.StatusOK)
					continue
				}
				// One that grows too old is good until then.
				harness.Eventually(t, "the token of the gateway's own is refused as "+what, func() bool { return again().Status != http.StatusOK })
				if answer := again().Expect(t, http.StatusBadRequest); answer.Members()["error"] != "invalid_request" {
					t.Errorf("%s: %s", what, answer.Body)
				}
			}
			send(held, "audience", "stock").Expect(t, http.StatusOK)
		})
	}
}
