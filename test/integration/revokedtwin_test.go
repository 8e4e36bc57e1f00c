package integration_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// twin is the same token with the other signature that everybody can make of an ECDSA
// signature: n-s in the place of s (SEC 1, section 4.1.4).
func twin(t *testing.T, token string) string {
	t.Helper()
	body, signature, _ := strings.Cut(token[strings.LastIndexByte(token, '.')-1:], ".")
	octets, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || body == "" || len(octets) != 64 {
		t.Fatalf("no ES256 signature: %v", err)
	}
	s := new(big.Int).SetBytes(octets[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(octets[32:])
	return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(octets)
}

// A token without jti is revoked by its text, and its signature can be written twice.
func TestRevokedTokenWithAnotherSignatureIsRefused(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	nameless := idp.Token(map[string]any{"jti": nil})
	gateway.Await("/other", nameless, http.StatusOK)
	gateway.Get("/other", twin(t, nameless)).Expect(t, http.StatusOK)

	revoke(t, gateway, `{"token": "`+nameless+`"}`)
	gateway.Get("/other", nameless).Expect(t, http.StatusUnauthorized)
	gateway.Get("/other", twin(t, nameless)).Expect(t, http.StatusUnauthorized)
}
