package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// An identity is one certificate that gateway and callers share: who they are
// does not matter here, only that both sides show one.
type identity struct {
	certificateFile, keyFile string
	certificate              tls.Certificate
	pool                     *x509.CertPool
	thumbprint               string // RFC 8705, section 3.1
}

func newIdentity(folder string) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"api.example.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	digest := sha256.Sum256(der)
	made := &identity{
		certificateFile: filepath.Join(folder, "certificate.pem"), keyFile: filepath.Join(folder, "key.pem"),
		thumbprint: base64.RawURLEncoding.EncodeToString(digest[:]), pool: x509.NewCertPool(),
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	made.pool.AppendCertsFromPEM(certificate)
	if made.certificate, err = tls.X509KeyPair(certificate, secret); err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	for file, content := range map[string][]byte{made.certificateFile: certificate, made.keyFile: secret} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, fmt.Errorf("writing a certificate: %w", err)
		}
	}
	return made, nil
}

// config is that of a caller. The name is that of the Host header: Caddy insists
// where it asks for certificates.
func (i *identity) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: i.pool, ServerName: "api.example.com",
		Certificates: []tls.Certificate{i.certificate},
	}
}
