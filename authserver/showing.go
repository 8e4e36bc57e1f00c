package authserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

var (
	errOtherCertificate = errors.New("the client proves itself by another certificate, and a connection shows one")
	errPlainHTTP        = errors.New("the endpoint is plain http, where no certificate is shown")
)

// Showing returns a client like this one that shows a certificate beside its own
// proof, whatever that is: a server that knows it binds its tokens to the
// certificate (RFC 8705, section 3). It is sent to the endpoints of the server's
// mtls_endpoint_aliases (section 5). It has connections of its own, which its Close
// ends; a client that proves itself by this very certificate is returned as it is.
func (c *Client) Showing(certificate *Certificate) (*Client, error) {
	if own := c.Certificate(); own != nil {
		if own.files != certificate.files {
			return nil, errOtherCertificate
		}
		return c, nil
	}
	copied := *c
	copied.shows = &showing{certificate: certificate, settings: httpx.Options{TrustCA: c.options.TrustCA, Timeout: c.options.Timeout}}
	if err := copied.checkShown(c.options.TokenEndpoint); err != nil {
		return nil, fmt.Errorf("token_endpoint: %w", err)
	}
	return &copied, nil
}

// Certificate is what the client shows, nil for nothing.
func (c *Client) Certificate() *Certificate {
	if c.shows == nil {
		return nil
	}
	return c.shows.certificate
}

// checkShown refuses an address at which no certificate could be shown.
func (c *Client) checkShown(address string) error {
	if c.shows != nil && strings.HasPrefix(address, "http:") {
		return errPlainHTTP
	}
	return nil
}

// connections are those of one certificate or, if thumbprint is "", of none.
type connections struct {
	http       *httpx.Client
	thumbprint string
	asked      atomic.Bool // a server wanted to see the certificate
}

// shown is the certificate that an answer came by, "" if the server never asked
// for one: it then cannot have bound anything to it.
func (c *connections) shown() string {
	if !c.asked.Load() {
		return ""
	}
	return c.thumbprint
}

// A showing makes the connections that show a certificate. Those of one certificate
// are never used for another: a token is bound to what its connection showed.
type showing struct {
	certificate *Certificate
	settings    httpx.Options

	mu  sync.Mutex
	now *connections
}

// connections returns those that show what the certificate's files hold now.
func (s *showing) connections() (*connections, error) {
	pair, thumbprint := s.certificate.Pair()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil && s.now.thumbprint == thumbprint {
		return s.now, nil
	}
	made := &connections{thumbprint: thumbprint}
	settings := s.settings
	settings.Certificate = func() (*tls.Certificate, error) {
		made.asked.Store(true)
		return pair, nil
	}
	var err error
	if made.http, err = httpx.New(settings); err != nil {
		return nil, err
	}
	s.closeIdle()
	s.now = made
	return made, nil
}

// closeIdle needs the lock.
func (s *showing) closeIdle() {
	if s.now != nil {
		s.now.http.Close()
	}
}

func (s *showing) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeIdle()
}

// connections are those that this client's requests go over now.
func (c *Client) connections() (*connections, error) {
	if c.shows == nil {
		return c.plain, nil
	}
	return c.shows.connections()
}

// Close ends idle connections.
func (c *Client) Close() {
	if c.shows != nil {
		c.shows.close()
		return
	}
	c.plain.http.Close()
}
