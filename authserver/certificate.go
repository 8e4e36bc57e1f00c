package authserver

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// CertificateFiles are a client certificate, its chain behind it, and its private
// key, both in PEM.
type CertificateFiles struct{ Certificate, Key string }

// A Certificate is what a client shows in a TLS connection. Its files are read
// again when they change. It is safe for concurrent use.
type Certificate struct {
	files     CertificateFiles
	cert, key *watched[Secret]

	mu         sync.Mutex
	from       [2]string // what the files held when they last were a pair
	last       *tls.Certificate
	thumbprint string
}

// NewCertificate reads the files for the first time; log is told when reading them
// again fails.
func NewCertificate(files CertificateFiles, log *slog.Logger) (*Certificate, error) {
	made := &Certificate{files: files}
	var err error
	if made.cert, err = watch(files.Certificate, log, keep); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if made.key, err = watch(files.Key, log, keep); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if pair, _ := made.Pair(); pair == nil {
		// The library's error may quote a file; the names say enough.
		return nil, errors.New("certificate: the certificate and the key are not a pair in PEM")
	}
	return made, nil
}

// keep is a parse that leaves a text as it is.
func keep(content []byte) (Secret, error) { return NewSecret(string(content)), nil }

// Thumbprint is the certificate's SHA-256 in base64url: the x5t#S256 of tokens that
// are bound to it (RFC 8705, section 3.1).
func (c *Certificate) Thumbprint() string {
	_, thumbprint := c.Pair()
	return thumbprint
}

// Pair returns what the two files hold now, and its Thumbprint. While one of them has been written and
// the other has not, the last pair that fits serves on.
func (c *Certificate) Pair() (*tls.Certificate, string) {
	cert, key := c.cert.get().Reveal(), c.key.get().Reveal()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from == [2]string{cert, key} {
		return c.last, c.thumbprint
	}
	c.from = [2]string{cert, key}
	if pair, err := tls.X509KeyPair([]byte(cert), []byte(key)); err == nil {
		sum := sha256.Sum256(pair.Certificate[0])
		c.last, c.thumbprint = &pair, base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return c.last, c.thumbprint
}

// reread looks at the files at once.
func (c *Certificate) reread() {
	c.cert.reread()
	c.key.reread()
}
