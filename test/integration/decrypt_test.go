package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const encrypted = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
$DECRYPT
		}
	}
}
$SITE {
	token_auth
	reverse_proxy $UPSTREAM
}
`

// Encrypted tokens open with the old key and the new one; what is inside must be
// a good token, and without decrypt they are refused.
func TestEncryptedTokens(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	fresh, old := tokentest.NewKey(t, "RS256", ""), tokentest.NewKey(t, "ES256", "")
	folder := t.TempDir()
	for name, key := range map[string]*tokentest.Key{"new.pem": fresh, "old.pem": old} {
		if err := os.WriteFile(filepath.Join(folder, name), key.PEM(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	words := "decrypt " + folder + "/new.pem RSA-OAEP-256\ndecrypt " + folder + "/old.pem"
	gateway := harness.Start(t, strings.ReplaceAll(encrypted, "$DECRYPT", words), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	good := idp.Token(nil)
	gateway.Await("/", good, http.StatusOK)
	rsa, ec := fresh.Private.Public(), old.Private.Public()
	stranger := tokentest.NewKey(t, "RS256", "").Private.Public()
	foreign := harness.NewAuthServer(t)
	for name, test := range map[string]struct {
		token  string
		status int
	}{
		"RSA-OAEP-256":        {tokentest.Encrypt(t, rsa, nil, good), 200},
		"ECDH-ES, old key":    {tokentest.Encrypt(t, ec, nil, good), 200},
		"wrong key":           {tokentest.Encrypt(t, stranger, nil, good), 401},
		"RSA1_5":              {tokentest.Encrypt(t, rsa, map[string]any{"alg": "RSA1_5"}, good), 401},
		"PBES2":               {tokentest.Encrypt(t, rsa, map[string]any{"alg": "PBES2-HS256+A128KW", "p2c": 1 << 30, "p2s": "AAAA"}, good), 401},
		"zip":                 {tokentest.Encrypt(t, rsa, map[string]any{"zip": "DEF"}, good), 401},
		"nested":              {tokentest.Encrypt(t, rsa, nil, tokentest.Encrypt(t, ec, nil, good)), 401},
		"another issuer's":    {tokentest.Encrypt(t, rsa, nil, foreign.Token(nil)), 401},
		"another's signature": {tokentest.Encrypt(t, rsa, nil, foreign.Key.Sign(nil, idp.Claims(nil))), 401},
		"not signed":          {tokentest.Encrypt(t, rsa, nil, tokentest.Encode([]byte(`{"alg":"none"}`))+"."+strings.Split(good, ".")[1]+"."), 401},
		"claims alone":        {tokentest.Encrypt(t, rsa, nil, string(tokentest.JSON(idp.Claims(nil)))), 401},
	} {
		t.Run(name, func(t *testing.T) { gateway.Get("/", test.token).Expect(t, test.status) })
	}
	sealed := tokentest.Encrypt(t, rsa, nil, good)
	gateway.Get("/", sealed).Expect(t, http.StatusOK)
	if err := gateway.Reload(strings.ReplaceAll(encrypted, "$DECRYPT", "")); err != nil {
		t.Fatal(err)
	}
	// The key was withdrawn, and with it what it opened.
	gateway.Get("/", sealed).Expect(t, http.StatusUnauthorized)
	gateway.Get("/", good).Expect(t, http.StatusOK)
	harness.Eventually(t, "the audit trail says why", func() bool {
		lines := gateway.Audit()
		return len(lines) > 0 && lines[len(lines)-1]["rule"] == "encrypted"
	})
}

// A revoked token is refused in every envelope: whoever has it can make another one.
func TestRevokedInEveryEnvelope(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	key, file := tokentest.NewKey(t, "RS256", ""), filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := harness.Start(t, encrypted, "$DECRYPT", "decrypt "+file+" RSA-OAEP-256", "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	other := idp.Token(map[string]any{"jti": "other"})
	gateway.Await("/", other, http.StatusOK)
	for name, token := range map[string]string{
		"named": idp.Token(map[string]any{"jti": "stolen"}), "nameless": idp.Token(map[string]any{"jti": nil, "sub": "nameless"}),
	} {
		t.Run(name, func(t *testing.T) {
			one, again := tokentest.Encrypt(t, key.Private.Public(), nil, token), tokentest.Encrypt(t, key.Private.Public(), nil, token)
			gateway.Get("/", one).Expect(t, http.StatusOK)
			if status, said := command(t, gateway, one, "revoke", "--token"); status != 0 {
				t.Fatal(said)
			}
			for _, text := range []string{one, again, token} {
				gateway.Get("/", text).Expect(t, http.StatusUnauthorized)
			}
		})
	}
	gateway.Get("/", tokentest.Encrypt(t, key.Private.Public(), nil, other)).Expect(t, http.StatusOK)
}
