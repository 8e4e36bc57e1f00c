//go:build interop

package keycloak

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// An authority signs the certificates of one run: Keycloak's own, and those of
// clients, which it takes from nobody else.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool

	file, serverCert, serverKey string
}

func newAuthority(folder string) (*authority, error) {
	a := &authority{
		pool: x509.NewCertPool(), file: filepath.Join(folder, "ca.pem"),
		serverCert: filepath.Join(folder, "server.pem"), serverKey: filepath.Join(folder, "server.key"),
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "interop"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := a.sign(template)
	if err != nil {
		return nil, err
	}
	a.pool.AddCert(a.certificate)
	if err := writePEM(a.file, "CERTIFICATE", root.Certificate[0]); err != nil {
		return nil, err
	}
	server, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "keycloak"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	if err := a.write(server, a.serverCert, a.serverKey); err != nil {
		return nil, err
	}
	return a, nil
}

// forClient is a new certificate of a client.
func (a *authority) forClient(name string) (tls.Certificate, error) {
	return a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// sign fills in a template and signs it; the first one signs itself.
func (a *authority) sign(template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return tls.Certificate{}, err
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	if a.certificate == nil {
		a.certificate, a.key = leaf, key
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// write writes a certificate and its key as PEM.
func (a *authority) write(made tls.Certificate, certificate, key string) error {
	der, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		return err
	}
	if err := writePEM(certificate, "CERTIFICATE", made.Certificate[0]); err != nil {
		return err
	}
	return writePEM(key, "PRIVATE KEY", der)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
