//go:build interop

package node_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway without a secret: it signs an assertion (RFC 7523), or shows a
// certificate that the provider knows (RFC 8705, section 2.2).
func TestClientAuthentication(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "gateway-1")
	certificate := harness.NewCertificate(t)
	folder := t.TempDir()
	keyFile := writeKey(t, folder, "client.pem", key.Private)
	certificateFile := node.WritePEM(t, folder, "tls.pem", "CERTIFICATE", certificate.DER())
	certificateKey := writeKey(t, folder, "tls.key", certificate.PrivateKey)
	provider := node.NewProvider(t, resources, node.Registered{Key: key.JWK(), Certificate: certified(t, certificate)})

	const secret = "client_id gateway\n\t\t\tsecret " + node.GatewaySecret
	for id, lines := range map[string]string{
		"gateway-key": "auth private_key_jwt\n key " + keyFile + " ES256 gateway-1",
		"gateway-tls": "auth tls\n certificate " + certificateFile + " " + certificateKey + "\n trust_ca " + provider.CA,
	} {
		t.Run(id, func(t *testing.T) {
			w := startWith(t, provider, secret, "client_id "+id+"\n "+lines)
			w.Await("/orders/1", provider.User("alice", opaque, "orders:read"), http.StatusOK)
			if claims := harness.Claims(t, w.upstream.Last(t).Bearer()); claims["client_id"] != id || claims["aud"] != orders {
				t.Errorf("the upstream got %v", claims)
			}
		})
	}
}

func writeKey(t *testing.T, folder, name string, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return node.WritePEM(t, folder, name, "PRIVATE KEY", der)
}

// certified is a certificate's key as a JWK with the certificate in x5c.
func certified(t *testing.T, certificate harness.Certificate) map[string]any {
	t.Helper()
	private, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("a private key of type %T", certificate.PrivateKey)
	}
	public := (&tokentest.Key{ID: "tls-1", Algorithm: "ES256", Private: private}).JWK()
	public["x5c"] = []string{base64.StdEncoding.EncodeToString(certificate.DER())}
	return public
}
