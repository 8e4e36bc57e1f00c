package integration_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// servedSigned is a token service with another algorithm, and a door for what it issues.
const servedSigned = `{
	gatehouse {
		issuer self $SITE {
			audience billing
			algorithms $ALGORITHM
			token_type at+jwt
		}
		sign {
			issuer $SITE
			algorithm $ALGORITHM
		}
	}
}
$SITE {
	token_service {
		client orders {
			auth secret_hash $HASH
			grants client_credentials
			audience billing
			scope billing:read
		}
		endpoints jwks token
	}
	token_auth self
	respond in
}
`

// Whatever algorithm signs, a token is verified by the published keys, whose key names
// that algorithm, and at the gateway's own door.
func TestServiceSignsWithEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256} {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			gateway := harness.Start(t, servedSigned, "$HASH", harness.ServiceHash(), "$ALGORITHM", string(algorithm))
			token := gateway.Post("/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials")).
				Expect(t, http.StatusOK).AccessToken()
			jws, err := jose.ParseJWS(token)
			if err != nil || jws.Header.Algorithm != string(algorithm) {
				t.Fatalf("%v, header %+v", err, jws.Header)
			}
			published := gateway.Get("/oauth2/jwks", "").Expect(t, http.StatusOK)
			set, err := jose.ParseKeySet([]byte(published.Body))
			if err != nil || len(set.Dropped) > 0 {
				t.Fatalf("%v, %d keys are of no use in %s", err, len(set.Dropped), published.Body)
			}
			verified := false
			for _, key := range set.Keys {
				verified = verified || key.ID() == jws.Header.KeyID && jws.VerifyWith(key, algorithm) == nil
			}
			if !verified || !publishes(published, jws.Header.KeyID, algorithm) {
				t.Errorf("no key %s for %s verifies the token in %s", jws.Header.KeyID, algorithm, published.Body)
			}
			gateway.Await("/", token, http.StatusOK)
			gateway.Get("/", token[:len(token)-8]+"AAAAAAAA").Expect(t, http.StatusUnauthorized)
		})
	}
}

// publishes tells whether a key set has that key, for that algorithm.
func publishes(set harness.Answer, id string, algorithm jose.Algorithm) bool {
	keys, _ := set.Members()["keys"].([]any)
	for _, key := range keys {
		if members, _ := key.(map[string]any); members["kid"] == id && members["alg"] == string(algorithm) {
			return true
		}
	}
	return false
}
