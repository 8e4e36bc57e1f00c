package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const secretsSite = `{
	gatehouse {
		issuer legacy https://legacy.example.com {
			audience https://api.example.com
			algorithms $ALG
			jwks $DIR/secrets
		}
	}
}
$SITE {
	token_auth legacy
	respond {http.auth.user.id}
}
`

// A key file for shared secrets is refused at load where it would let others make
// tokens; the configuration that runs goes on.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	secret := []byte("canary-secret-of-an-issuer-32-by")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "secrets"), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := func(members ...any) []byte { return tokentest.JSON(map[string]any{"keys": members}) }
	oct := func(secret []byte) map[string]any {
		return map[string]any{"kty": "oct", "k": tokentest.Encode(secret)}
	}
	public := tokentest.NewKey(t, "RS256", "r1")
	write(set(oct(secret)))
	site := strings.NewReplacer("$DIR", folder, "$ALG", "HS256").Replace(secretsSite)
	gateway := harness.Start(t, site)
	token := func() string {
		return tokentest.HS256(secret, map[string]any{"alg": "HS256"}, tokentest.Claims("https://legacy.example.com", nil))
	}
	gateway.Get("/", token()).Expect(t, 200)
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"public keys":      {tokentest.Set(public), "it is not a shared secret (kty oct)"},
		"short":            {set(oct(secret[:31])), "its secret is shorter than the hash of its algorithm"},
		"PEM":              {[]byte("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"), "PEM holds public keys and certificates, and HMAC algorithms need secrets"},
		"PEM in a JWK":     {set(oct([]byte("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"))), "its secret is the text of a key or certificate, which is no secret"},
		"the secret alone": {secret, "parsing strict JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			write(test.content)
			err := gateway.Reload(strings.Replace(site, "respond", "header X-Load "+strings.Fields(name)[0]+"\n\trespond", 1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the message holds the secret: %v", err)
			}
			gateway.Get("/", token()).Expect(t, 200)
		})
	}
	// Where public keys are expected the same file holds none.
	write(set(oct(secret)))
	err := gateway.Reload(strings.Replace(site, "algorithms HS256", "algorithms RS256", 1))
	if err == nil || !strings.Contains(err.Error(), "it is a symmetric key, which a public set must not hold") {
		t.Errorf("got %v", err)
	}
	gateway.Get("/", token()).Expect(t, 200)
	if strings.Contains(gateway.Log(), "canary") {
		t.Error("the log holds the secret")
	}
}
