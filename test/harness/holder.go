package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Holder is a client with a key of its own that tokens can be bound to.
type Holder struct {
	Key *tokentest.Key

	tb     testing.TB
	signer *jose.Signer
}

// NewHolder makes a client with an ES256 key.
func NewHolder(tb testing.TB) *Holder {
	tb.Helper()
	h := &Holder{Key: tokentest.NewKey(tb, "ES256", ""), tb: tb}
	var err error
	if h.signer, err = jose.NewSigner(h.Key.Private, "ES256", ""); err != nil {
		tb.Fatal(err)
	}
	return h
}

// Binding is the cnf claim of a token that is bound to the holder's key.
func (h *Holder) Binding() map[string]any {
	thumb := h.signer.Public().Thumbprint()
	return map[string]any{"jkt": tokentest.Encode(thumb[:])}
}

// Proof makes a good proof for a request with that token.
func (h *Holder) Proof(method, url, held, nonce string) string {
	h.tb.Helper()
	made, err := proof.Prove(h.signer, proof.Target{Method: method, URL: url, Token: token.NewRaw(held), Nonce: nonce})
	if err != nil {
		h.tb.Fatal(err)
	}
	return made
}

// Prove puts a token and a proof on a request that the client sends to that URL.
func (h *Holder) Prove(request *http.Request, url, held, nonce string) *http.Request {
	h.tb.Helper()
	request.Header["Authorization"] = []string{"DPoP " + held}
	request.Header["Dpop"] = []string{h.Proof(request.Method, url, held, nonce)}
	return request
}

// A Certificate is one that a client made for itself.
type Certificate struct{ tls.Certificate }

// NewCertificate makes a self-signed certificate.
func NewCertificate(tb testing.TB) Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return Certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// DER is the certificate as it crosses the wire.
func (c Certificate) DER() []byte { return c.Certificate.Certificate[0] }

// Binding is the cnf claim of a token that is bound to the certificate.
func (c Certificate) Binding() map[string]any {
	thumb := proof.CertificateThumbprint(c.DER())
	return map[string]any{"x5t#S256": tokentest.Encode(thumb[:])}
}

// Thumbprint is its x5t#S256.
func (c Certificate) Thumbprint() string { return Thumbprint(c.DER()) }

// Thumbprint is the x5t#S256 of a certificate in DER.
func Thumbprint(der []byte) string {
	sum := proof.CertificateThumbprint(der)
	return tokentest.Encode(sum[:])
}

// Write writes it and its key into two files, each by a rename, so that it is a
// change whatever the clock says.
func (c Certificate) Write(tb testing.TB, certificate, key string) {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: c.DER()}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path+".fresh", pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
		if err := os.Rename(path+".fresh", path); err != nil {
			tb.Fatal(err)
		}
	}
}
