package attack_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// contents is a gateway whose issuers say what their tokens must be.
const contents = `{
	debug
	gatehouse {
		issuer secrets https://secrets.example.com {
			audience https://api.example.com
			algorithms HS256 HS512
			jwks $DIR/secrets.json
		}
		issuer public https://public.example.com {
			audience https://api.example.com
			jwks $DIR/public.json
		}
		issuer strict https://strict.example.com {
			audience any
			jwks $DIR/public.json
			token_type at+jwt
			max_token_age 10m
			require_claims tenant
		}
		issuer loose https://loose.example.com {
			audience any
			jwks $DIR/public.json
			claims {
				subject user.name
				scope permissions scp
				client app.id
				roles access.roles /access/my.app/0
			}
		}
	}
}
$SITE {
	token_auth secrets public strict loose
	handle /orders/* {
		token_require scope orders:read
		respond "{http.auth.user.subject}"
	}
	handle /named/* {
		token_require audience https://api.example.com
		respond "{http.auth.user.subject}"
	}
	respond "{http.auth.user.subject}|{http.auth.user.client}|{http.auth.user.scope}"
}
`

const sharedSecret = "canary-shared-secret-of-32-bytes"

type contentWorld struct {
	*harness.Gateway

	ec, rsa *tokentest.Key
	// planted is a secret that somebody put into the public set.
	planted []byte
}

func startContents(t *testing.T) *contentWorld {
	t.Helper()
	w := &contentWorld{
		ec: tokentest.NewKey(t, "ES256", "k1"), rsa: tokentest.NewKey(t, "RS256", "k2"),
		planted: []byte("canary-secret-planted-in-a-public-set"),
	}
	folder := t.TempDir()
	oct := func(kid string, secret []byte) map[string]any {
		return map[string]any{"kty": "oct", "kid": kid, "k": tokentest.Encode(secret)}
	}
	for name, members := range map[string][]any{
		"secrets.json": {oct("s1", []byte(sharedSecret)), w.ec.JWK(), oct("s2", []byte("canary-too-short"))},
		"public.json":  {w.ec.JWK(), w.rsa.JWK(), oct("planted", w.planted)},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), tokentest.JSON(map[string]any{"keys": members}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Gateway = harness.Start(t, contents, "$DIR", folder)
	t.Cleanup(func() {
		for _, secret := range []string{"canary", tokentest.Encode([]byte(sharedSecret)), tokentest.Encode(w.planted)} {
			if strings.Contains(w.Log(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
	})
	return w
}

// hs signs with a secret as an issuer's token.
func hs(secret []byte, alg, kid, issuer string, changes map[string]any) string {
	header := map[string]any{"alg": alg, "kid": kid, "typ": "at+jwt"}
	return tokentest.HS256(secret, header, tokentest.Claims(issuer, changes))
}

func (w *contentWorld) answers(t *testing.T, path string, status int, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { w.Get(path, token).Expect(t, status) })
	}
}

// With secrets there are two worlds of keys in one gateway. Nothing of one serves
// in the other.
func TestAttack01SecretsAndPublicKeys(t *testing.T) {
	w := startContents(t)
	const secrets, public = "https://secrets.example.com", "https://public.example.com"
	w.answers(t, "/", http.StatusOK, map[string]string{
		"a secret":             hs([]byte(sharedSecret), "HS256", "s1", secrets, nil),
		"a secret, remembered": hs([]byte(sharedSecret), "HS256", "s1", secrets, nil),
		"a public key":         w.rsa.Sign(nil, tokentest.Claims(public, nil)),
	})
	bad := map[string]string{
		"secret for the public issuer":      hs([]byte(sharedSecret), "HS256", "s1", public, nil),
		"planted secret":                    hs(w.planted, "HS256", "planted", public, nil),
		"planted secret, no HS":             hs(w.planted, "RS256", "planted", public, nil),
		"planted secret for secrets":        hs(w.planted, "HS256", "s1", secrets, nil),
		"too short a secret":                hs([]byte("canary-too-short"), "HS256", "s2", secrets, nil),
		"secret too short for HS512":        hs([]byte(sharedSecret), "HS512", "s1", secrets, nil),
		"HS384 is not named":                hs([]byte(sharedSecret), "HS384", "s1", secrets, nil),
		"HMAC that says ES256":              hs([]byte(sharedSecret), "ES256", "s1", secrets, nil),
		"HMAC that says none":               hs([]byte(sharedSecret), "none", "s1", secrets, nil),
		"empty secret":                      hs(nil, "HS256", "s1", secrets, nil),
		"public key for secrets":            w.ec.Sign(nil, tokentest.Claims(secrets, nil)),
		"public key that says HS256":        w.ec.Sign(map[string]any{"alg": "HS256"}, tokentest.Claims(secrets, nil)),
		"public key under the secret's kid": w.ec.Sign(map[string]any{"kid": "s1"}, tokentest.Claims(secrets, nil)),
	}
	for _, key := range []*tokentest.Key{w.ec, w.rsa} {
		for what, form := range publicForms(t, key) {
			for _, issuer := range []string{secrets, public} {
				for _, kid := range []string{"s1", key.ID, ""} {
					bad[fmt.Sprintf("%s as %s for %s, kid %q", key.ID, what, issuer, kid)] = hs(form, "HS256", kid, issuer, nil)
				}
			}
		}
	}
	w.answers(t, "/", http.StatusUnauthorized, bad)
}

// A strict issuer's tokens are access tokens by their header and by all of their
// claims.
func TestAttack07StrictIssuer(t *testing.T) {
	w := startContents(t)
	good := func(header, changes map[string]any) string {
		claims := tokentest.Claims("https://strict.example.com", map[string]any{"tenant": "acme"})
		for name, value := range changes {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
		}
		return w.ec.Sign(header, claims)
	}
	w.answers(t, "/", http.StatusOK, map[string]string{
		"good": good(nil, nil), "with the media type": good(map[string]any{"typ": "application/at+jwt"}, nil),
	})
	bad := map[string]string{
		"typ JWT": good(map[string]any{"typ": "JWT"}, nil), "no typ": good(map[string]any{"typ": nil}, nil),
		"typ application/": good(map[string]any{"typ": "application/"}, nil), "typ of a logout token": good(map[string]any{"typ": "logout+jwt"}, nil),
		"too old": good(nil, map[string]any{"iat": 1}), "tenant empty": good(nil, map[string]any{"tenant": ""}),
		"nonce": good(nil, map[string]any{"nonce": "n"}), "token_use id": good(nil, map[string]any{"token_use": "id"}),
	}
	for _, name := range []string{"sub", "client_id", "iat", "jti", "aud", "exp", "tenant"} {
		bad["without "+name] = good(nil, map[string]any{name: nil})
	}
	w.answers(t, "/", http.StatusUnauthorized, bad)
}

// audience any takes a token without aud where it is written, and does not make a
// rule hold elsewhere.
func TestAttack06AbsentAudience(t *testing.T) {
	w := startContents(t)
	absent := func(issuer string) string {
		return w.ec.Sign(nil, tokentest.Claims(issuer, map[string]any{"aud": nil}))
	}
	w.Get("/", absent("https://loose.example.com")).Expect(t, http.StatusOK)
	w.Get("/named/", absent("https://loose.example.com")).Expect(t, http.StatusForbidden)
	w.Get("/", absent("https://public.example.com")).Expect(t, http.StatusUnauthorized)
	w.Get("/", absent("https://strict.example.com")).Expect(t, http.StatusUnauthorized)
}

// What lies where an issuer puts things is of the right type or refused. Claims
// that lie where others put theirs give nobody anything.
func TestAttack09ClaimPaths(t *testing.T) {
	w := startContents(t)
	token := func(changes map[string]any) string {
		return w.ec.Sign(nil, tokentest.Claims("https://loose.example.com", changes))
	}
	full := token(map[string]any{"user": map[string]any{"name": "bob"}, "app": map[string]any{"id": "a"}, "permissions": []string{"orders:read"}})
	if got := w.Get("/", full).Expect(t, http.StatusOK).Body; got != "bob|a|orders:read" {
		t.Errorf("read as %s", got)
	}
	if got := w.Get("/", token(nil)).Expect(t, http.StatusOK).Body; got != "||" {
		t.Errorf("claims of other places read as %s", got)
	}
	w.Get("/orders/", full).Expect(t, http.StatusOK)
	w.Get("/orders/", token(nil)).Expect(t, http.StatusForbidden)
	w.Get("/orders/", token(map[string]any{"permissions": []string{}, "scp": "orders:read"})).Expect(t, http.StatusForbidden)
	bad := make(map[string]string)
	for name, wrong := range map[string][]any{
		"user.name":    {1, true, []any{"bob"}, map[string]any{"a": 1}},
		"app.id":       {1, false, []any{}, map[string]any{}},
		"permissions":  {1, true, []any{1}, []any{nil}, []any{[]any{"orders:read"}}, map[string]any{"orders:read": true}},
		"access.roles": {1, []any{1, "x"}, map[string]any{"admin": true}},
		"sub":          {1, []any{"alice"}},
	} {
		for _, value := range wrong {
			bad[fmt.Sprintf("%s %v", name, value)] = token(map[string]any{name: value})
		}
	}
	bad["role in a list in a list"] = token(map[string]any{"access": map[string]any{"my.app": []any{[]any{map[string]any{}}}}})
	bad["subject nested"] = token(map[string]any{"user": map[string]any{"name": []any{"bob"}}})
	bad["subject null"] = w.ec.SignRaw([]byte(`{"alg":"ES256"}`), []byte(strings.Replace(
		string(tokentest.JSON(tokentest.Claims("https://loose.example.com", nil))), `"sub"`, `"user":{"name":null},"sub"`, 1)))
	w.answers(t, "/", http.StatusUnauthorized, bad)
}
