package authserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// CertificateFiles are a client certificate, its chain behind it, and its private
// key, both in PEM.
type CertificateFiles struct{ Certificate, Key string }

// TLS proves the client by the certificate of its TLS connection (RFC 8705,
// section 2). Endpoints of the server's mtls_endpoint_aliases are preferred. The
// files are read again when they change; log is told when that fails.
func TLS(files CertificateFiles, log *slog.Logger) (ClientAuth, error) {
	auth := &tlsAuth{files: files}
	var err error
	if auth.cert, err = watch(files.Certificate, log, keep); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if auth.key, err = watch(files.Key, log, keep); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if _, err := auth.certificate(); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return auth, nil
}

// keep is a parse that leaves a text as it is.
func keep(content []byte) (Secret, error) { return NewSecret(string(content)), nil }

type tlsAuth struct {
	files     CertificateFiles
	cert, key *watched[Secret]

	mu    sync.Mutex
	last  *tls.Certificate
	shown string // the certificate of the last attempt
}

// certificate pairs what the two files hold now. While one of them has been
// written and the other has not, the last pair that fits serves on.
func (a *tlsAuth) certificate() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(a.cert.get().Reveal()), []byte(a.key.get().Reveal()))
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.last = &pair
	}
	if a.last == nil {
		// The library's error may quote a file; the names say enough.
		return nil, errors.New("the certificate and the key are not a pair in PEM")
	}
	return a.last, nil
}

func (a *tlsAuth) authenticate(_ context.Context, attempt *attempt) error {
	attempt.form.Set("client_id", attempt.clientID)
	pair, err := a.certificate()
	if err != nil {
		return err
	}
	shows := string(pair.Certificate[0])
	a.mu.Lock()
	defer a.mu.Unlock()
	attempt.proof = proof{content: shows}
	attempt.reconnect = a.shown != "" && a.shown != shows
	a.shown = shows
	return nil
}

func (a *tlsAuth) keyID() string           { return "tls " + a.files.Certificate }
func (*tlsAuth) check(ClientOptions) error { return nil }
func (*tlsAuth) accepted(*attempt)         {}

func (a *tlsAuth) refused(attempt *attempt) bool {
	a.cert.reread()
	a.key.reread()
	pair, err := a.certificate()
	return err == nil && attempt.avoid == nil && attempt.proof.content != any(string(pair.Certificate[0]))
}

func trimSpace(content []byte) string { return strings.TrimSpace(string(bytes.TrimSpace(content))) }

// expiryOf reads an exp; what is none has passed.
func expiryOf(value any) time.Time {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxLife.Seconds()*1000 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
