package handlers

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// shownUpstream makes the connections of a transport with `tls_client_auth` and two
// files. Those of one certificate are never used for another: a token that is
// bound to the certificate is good over a connection that shows it, and over no
// other.
type shownUpstream struct {
	certificate *authserver.Certificate
	first       *http.Transport // as Caddy made it

	mu         sync.Mutex
	now        *http.Transport
	thumbprint string
}

// follow makes the transport read its client certificate again when the files
// change, as `bind mtls` does: the two must not part company until a reload.
func (t *Transport) follow(ctx caddy.Context) error {
	if t.TLS == nil || t.TLS.ClientCertificateFile == "" || slices.Contains(t.Versions, "3") {
		return nil // HTTP/3 has connections of its own, which nobody can reach
	}
	app, err := services(ctx)
	if err != nil {
		return err
	}
	certificate, err := app.Certificate(authserver.CertificateFiles{
		Certificate: t.TLS.ClientCertificateFile, Key: t.TLS.ClientCertificateKeyFile,
	})
	if err != nil {
		return err
	}
	config := t.HTTPTransport.Transport.TLSClientConfig
	if config == nil {
		return errors.New("tls_client_auth: the transport has no settings for TLS")
	}
	// Dialers that Caddy wrote for special cases look here.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, _ := certificate.Pair()
		return pair, nil
	}
	t.shown = &shownUpstream{certificate: certificate, first: t.HTTPTransport.Transport}
	return nil
}

// transport is the one for what the certificate's files hold now.
func (s *shownUpstream) transport() *http.Transport {
	pair, thumbprint := s.certificate.Pair()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thumbprint == thumbprint {
		return s.now
	}
	next := s.first.Clone()
	if next.TLSNextProto != nil {
		// HTTP/2 has its connections behind this map, and a clone shares them.
		next.TLSNextProto, next.ForceAttemptHTTP2 = nil, true
	}
	next.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return pair, nil
	}
	s.closeIdle()
	s.now, s.thumbprint = next, thumbprint
	return next
}

// closeIdle needs the lock.
func (s *shownUpstream) closeIdle() {
	if s.now != nil {
		s.now.CloseIdleConnections()
	}
}

func (s *shownUpstream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeIdle()
}

// send sends one attempt over the connections that are right for it now.
func (t *Transport) send(r *http.Request) (*http.Response, error) {
	if t.shown == nil {
		return t.HTTPTransport.RoundTrip(r)
	}
	t.SetScheme(r)
	return t.shown.transport().RoundTrip(r)
}

// Provision implements caddy.Provisioner.
func (t *Transport) Provision(ctx caddy.Context) error {
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	return t.follow(ctx)
}

// Cleanup implements caddy.CleanerUpper.
func (t *Transport) Cleanup() error {
	if t.shown != nil {
		t.shown.close()
	}
	return t.HTTPTransport.Cleanup()
}
