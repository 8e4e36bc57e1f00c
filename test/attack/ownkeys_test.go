package attack_test

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// hastyCaddyfile is a gateway whose new keys sign as soon as they may, and which takes
// its own tokens at its door.
const hastyCaddyfile = `{
	storage file_system $STORAGE
	gatehouse {
		issuer own $SITE {
			audience stock
		}
		sign {
			issuer $SITE
			rotate 1h
			overlap 4s
		}
	}
}
$SITE {
	token_service {
		endpoints token
		client orders {
			auth secret_hash $HASH
			grants client_credentials
			audience stock
		}
	}
	handle /stock/* {
		token_auth own
		respond in
	}
}
`

// Whoever invents kids uses up the budget for keys that nobody knows. The gateway's own
// next key must be known at its door before it signs, without that budget.
func TestAttack21OwnKeysInAFlood(t *testing.T) {
	t.Parallel()
	g := harness.Start(t, hastyCaddyfile, "$HASH", harness.ServiceHash(), "$STORAGE", t.TempDir())
	kid := presentOwn(t, g)
	thief := tokentest.NewKey(t, "ES256", "thief")
	claims := map[string]any{"iss": g.URL, "aud": "stock", "exp": time.Now().Add(time.Hour).Unix()}
	for range 20 {
		token := thief.Sign(map[string]any{"kid": rand.Text(), "typ": "at+jwt"}, claims)
		g.Get("/stock/", token).Expect(t, http.StatusUnauthorized)
	}
	request, err := http.NewRequest(http.MethodPost, g.Admin+"/gatehouse/keys/rotate", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	g.Do(request).Expect(t, http.StatusOK)
	harness.Eventually(t, "another key signs", func() bool { return presentOwn(t, g) != kid })
}

// presentOwn has a token minted, shows it at the gateway's own door, and tells which key
// signed it.
func presentOwn(t *testing.T, g *harness.Gateway) (kid string) {
	t.Helper()
	token := g.Post("/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials")).AccessToken()
	jws, err := jose.ParseJWS(token)
	if err != nil {
		t.Fatal(err)
	}
	if answer := g.Get("/stock/", token); answer.Status != http.StatusOK {
		t.Fatalf("a token of the key %s: %d", jws.Header.KeyID, answer.Status)
	}
	return jws.Header.KeyID
}
