//go:build cluster

package cluster_test

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
	"testing"
	"time"
)

// Plain connections are for loopback addresses only, so servers that nodes call have a
// certificate. It is its own authority and names every machine.
type certificate struct {
	file, key string
	pair      tls.Certificate
	roots     *x509.CertPool
}

func newCertificate(tb testing.TB) certificate {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	for number := range byte(255) {
		for _, network := range [][3]byte{{10, 77, 0}, {10, 78, 0}, {127, 77, 0}, {127, 0, 0}} {
			template.IPAddresses = append(template.IPAddresses, net.IPv4(network[0], network[1], network[2], number))
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	folder := tb.TempDir()
	c := certificate{file: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem"), roots: x509.NewCertPool()}
	for path, block := range map[string]*pem.Block{c.file: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	c.roots.AddCert(parsed)
	c.pair = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	return c
}
