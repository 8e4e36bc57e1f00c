package proof

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// certificateLook is how often the files are looked at while they are in use.
const certificateLook = 2 * time.Second

// A CertificateFile is a client certificate in a PEM file, and its key in another.
// It knows the thumbprint that tokens are bound to, and follows the certificate when
// it is replaced. It is safe for concurrent use.
type CertificateFile struct {
	certificate, key string

	mu     sync.Mutex
	thumb  token.Thumbprint
	seen   os.FileInfo
	looked time.Time
}

// NewCertificateFile reads both files. It fails if they are not a pair.
func NewCertificateFile(certificate, key string) (*CertificateFile, error) {
	file := &CertificateFile{certificate: certificate, key: key}
	if err := file.read(); err != nil {
		return nil, err
	}
	return file, nil
}

// Thumbprint is that of the certificate (RFC 8705, section 3.1). While one of the
// files has been written and the other has not, it is that of the last pair.
func (f *CertificateFile) Thumbprint() (token.Thumbprint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < certificateLook {
		return f.thumb, nil
	}
	f.looked = time.Now()
	info, err := os.Stat(f.certificate)
	if err != nil || os.SameFile(f.seen, info) && f.seen.ModTime().Equal(info.ModTime()) && f.seen.Size() == info.Size() {
		return f.thumb, nil //nolint:nilerr // what was read before serves on
	}
	_ = f.read() // likewise
	return f.thumb, nil
}

// read never quotes what is in the files.
func (f *CertificateFile) read() error {
	info, err := os.Stat(f.certificate)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if _, err := os.Stat(f.key); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return errors.New("certificate: the certificate and the key are not a pair in PEM")
	}
	f.thumb, f.seen, f.looked = CertificateThumbprint(pair.Certificate[0]), info, time.Now()
	return nil
}
