//go:build interop

package keycloak

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Each way to prove the gateway that Keycloak knows.
func TestClientAuthentication(t *testing.T) {
	r := newRealm(t)
	folder := t.TempDir()
	key := tokentest.NewKey(t, "ES256", "gateway-1")
	keyFile := filepath.Join(folder, "gateway.pem")
	if err := os.WriteFile(keyFile, key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := keycloak.authority.forClient("gateway")
	if err != nil {
		t.Fatal(err)
	}
	certificate, certificateKey := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "cert.key")
	if err := keycloak.authority.write(made, certificate, certificateKey); err != nil {
		t.Fatal(err)
	}
	endpoint := strings.Replace(r.issuer, keycloak.url, keycloak.secure, 1) + "/protocol/openid-connect/token"
	const long = "a-secret-of-the-gateway-that-has-more-than-32-bytes"
	for _, way := range []struct {
		name, authenticator string
		attributes          map[string]any
		server, words       string
	}{
		{"post", "client-secret", nil, "issuer keycloak", "auth post\n secret " + long},
		{"secret_jwt", "client-secret-jwt", nil, "issuer keycloak", "auth secret_jwt\n secret " + long},
		{
			"private_key_jwt", "client-jwt",
			map[string]any{"use.jwks.string": "true", "jwks.string": string(tokentest.Set(key)), "token.endpoint.auth.signing.alg": "ES256"},
			"issuer keycloak", "auth private_key_jwt\n key " + keyFile + " ES256 gateway-1",
		},
		{
			"tls", "client-x509",
			map[string]any{"x509.subjectdn": "CN=gateway"},
			"token_endpoint " + endpoint,
			"auth tls\n certificate " + certificate + " " + certificateKey + "\n trust_ca " + keycloak.authority.file,
		},
	} {
		t.Run(way.name, func(t *testing.T) {
			r.change("gateway", func(c map[string]any) {
				c["clientAuthenticatorType"], c["secret"] = way.authenticator, long
				maps.Copy(c["attributes"].(map[string]any), way.attributes)
			})
			upstream := harness.NewUpstream(t)
			gateway := (&realm{issuer: r.issuer, name: r.name, t: t}).gateway(proving, upstream, "$SERVER", way.server, "$AUTH", way.words)
			gateway.Await("/", r.token("web", "alice", ""), http.StatusOK)
			if aud := harness.Claims(t, upstream.Last(t).Bearer())["aud"]; aud != "orders" {
				t.Errorf("the upstream's token is for %v", aud)
			}
			expectNoTokens(t, gateway)
		})
	}
}

const proving = `{
	gatehouse {
		issuer keycloak $ISSUER {
			audience https://api.example.com
		}
		client gateway {
			$SERVER
			client_id gateway
			$AUTH
		}
		exchange orders {
			client gateway
			subject_issuer keycloak
			audience orders
		}
	}
}
$SITE {
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`
