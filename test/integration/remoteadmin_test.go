package integration_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// observer makes the certificate of somebody who may only look.
func observer(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "observer"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// remotely adds the remote admin endpoint to the running configuration, where the
// certificate may read one route.
func remotely(t *testing.T, gateway *harness.Gateway, address, route string, certificate tls.Certificate) {
	t.Helper()
	var config map[string]any
	if err := json.Unmarshal([]byte(lookAt(t, gateway, "/config/", http.StatusOK)), &config); err != nil {
		t.Fatal(err)
	}
	admin, _ := config["admin"].(map[string]any)
	admin["identity"] = map[string]any{"identifiers": []string{"localhost"}, "issuers": []any{map[string]any{"module": "internal"}}}
	admin["remote"] = map[string]any{"listen": address, "access_control": []any{map[string]any{
		"public_keys": []string{base64.StdEncoding.EncodeToString(certificate.Certificate[0])},
		"permissions": []any{map[string]any{"paths": []string{route}, "methods": []string{http.MethodGet}}},
	}}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(gateway.Admin+"/load", "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("loading: status %d", answer.StatusCode)
	}
}

// TestRemoteAdminMayBeLimitedToStatus gives somebody far away the state of the gateway,
// and no way to change it: Caddy's access control knows these routes as its own.
func TestRemoteAdminMayBeLimitedToStatus(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, strings.Replace(quietNode, "{\n", "{\n\tskip_install_trust\n", 1), "$IDP", idp.URL)
	certificate, address := observer(t), harness.FreeAddress(t)
	remotely(t, gateway, address, "/gatehouse/status", certificate)
	reach := func(shown ...tls.Certificate) func(method, path string) int {
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: shown, ServerName: "localhost", InsecureSkipVerify: true,
		}}
		t.Cleanup(transport.CloseIdleConnections)
		return func(method, path string) int {
			request, err := http.NewRequest(method, "https://"+address+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := (&http.Client{Transport: transport}).Do(request)
			if err != nil {
				return 0
			}
			_ = answer.Body.Close()
			return answer.StatusCode
		}
	}
	known, nobody, other := reach(certificate), reach(), reach(observer(t))
	harness.Eventually(t, "the observer sees the status", func() bool { return known(http.MethodGet, "/gatehouse/status") == http.StatusOK })
	for _, tt := range []struct{ method, path string }{
		{http.MethodPost, "/gatehouse/status"},
		{http.MethodGet, "/gatehouse/revocations"},
		{http.MethodPost, "/gatehouse/revocations"},
		{http.MethodGet, "/gatehouse/issuers"},
		{http.MethodPost, "/gatehouse/keys/rotate"},
		{http.MethodGet, "/config/"},
		{http.MethodGet, "/gatehouse/status/../revocations"},
	} {
		if status := known(tt.method, tt.path); status != http.StatusForbidden {
			t.Errorf("%s %s: status %d", tt.method, tt.path, status)
		}
	}
	if a, b := nobody(http.MethodGet, "/gatehouse/status"), other(http.MethodGet, "/gatehouse/status"); a != 0 || b != 0 {
		t.Errorf("without its certificate: %d and %d", a, b)
	}
}
