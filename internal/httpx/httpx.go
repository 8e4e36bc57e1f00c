// Package httpx is the gateway's one HTTP client for calls to authorization
// servers. It is stricter than net/http where a default would leak a credential
// or let a server hurt the gateway: no redirects, bounded bodies, bounded time.
package httpx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Errors of Do. Each is wrapped with what was being done, never with a body.
var (
	// ErrUnreachable says that no complete answer came: DNS, TCP, TLS, a reset.
	ErrUnreachable = errors.New("no answer")
	// ErrTimeout says that the answer did not come in time.
	ErrTimeout = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	// ErrNotSent says that, beside one of the above, nothing of the request left
	// this machine: no connection came about. It may be sent to another server.
	ErrNotSent = errors.New("nothing was sent")
	// ErrTooLarge says that the answer's body was over the bound.
	ErrTooLarge = errors.New("answer too large")
)

const (
	// DefaultTimeout bounds one call where Options says nothing.
	DefaultTimeout = 5 * time.Second
	// connectTimeout leaves time for the answer when a host does not accept.
	connectTimeout = 2 * time.Second
	// maxHeaderBytes bounds an answer's header.
	maxHeaderBytes = 64 << 10
)

// Options shape a Client.
type Options struct {
	// TrustCA are PEM bundles. If there are any, only they are trusted: naming a
	// CA means that no other may speak for this server.
	TrustCA [][]byte
	// Certificate returns the client's certificate for each new connection.
	// Default: the client shows none.
	Certificate func() (*tls.Certificate, error)
	// Timeout bounds one call from dialing to the body's last byte. Default: 5s.
	Timeout time.Duration
}

// A Client calls authorization servers. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// A Response is a whole answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// New makes a client. It fails if a bundle of TrustCA holds no certificate.
func New(options Options) (*Client, error) {
	roots, err := pool(options.TrustCA)
	if err != nil {
		return nil, err
	}
	if options.Timeout <= 0 {
		options.Timeout = DefaultTimeout
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if options.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return options.Certificate()
		}
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &Client{timeout: options.Timeout, http: &http.Client{
		Transport: transport,
		// Go sends a POST body again on 307 and 308, so a redirect would carry
		// the client's secret and the caller's token to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func pool(bundles [][]byte) (*x509.CertPool, error) {
	if len(bundles) == 0 {
		return nil, nil //nolint:nilnil // nil is crypto/tls's word for the system's roots
	}
	roots := x509.NewCertPool()
	for i, bundle := range bundles {
		if !roots.AppendCertsFromPEM(bundle) {
			return nil, fmt.Errorf("reading CA bundle %d: no PEM certificate in it", i+1)
		}
	}
	return roots, nil
}

// Close ends idle connections, so that a client that is no longer used leaves no
// goroutine behind.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a request and reads the whole answer. A redirect comes back as it is.
// Errors wrap ErrUnreachable, ErrTimeout, ErrTooLarge or, if the request's own
// context was cancelled, that context's error. None holds a URL's query. Beside
// ErrTooLarge stands the answer without its body.
func (c *Client) Do(request *http.Request, maxBytes int64) (*Response, error) {
	ctx, cancel := context.WithTimeout(request.Context(), c.timeout)
	defer cancel()
	// The first header field is written before the first byte is flushed, so that
	// what was not written cannot have been sent.
	var begun atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { begun.Store(true) },
	})
	answer, err := c.http.Do(request.WithContext(ctx))
	if err != nil {
		err = classify(request, err)
		if !begun.Load() {
			err = unsent{err}
		}
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBytes+1))
	if err != nil {
		return nil, classify(request, err)
	}
	if int64(len(body)) > maxBytes {
		return whole(answer, nil), fmt.Errorf("%s %s: %w: more than %d bytes", request.Method, place(request), ErrTooLarge, maxBytes)
	}
	return whole(answer, body), nil
}

func whole(answer *http.Response, body []byte) *Response {
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
}

// Get fetches a document.
func (c *Client) Get(ctx context.Context, url, accept string, maxBytes int64) (*Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, errors.New("making request: not a URL")
	}
	request.Header.Set("Accept", accept)
	return c.Do(request, maxBytes)
}

func classify(request *http.Request, err error) error {
	if cause := request.Context().Err(); cause != nil {
		return fmt.Errorf("%s %s: %w", request.Method, place(request), cause)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%s %s: %w", request.Method, place(request), ErrTimeout)
	}
	return fmt.Errorf("%s %s: %w: %s", request.Method, place(request), ErrUnreachable, kind(err))
}

// unsent adds ErrNotSent to an error and nothing to its text.
type unsent struct{ error }

// Is implements the interface of errors.Is.
func (unsent) Is(target error) bool { return target == ErrNotSent }

// Unwrap returns what went wrong.
func (u unsent) Unwrap() error { return u.error }

// kind names what went wrong without repeating what the peer sent.
func kind(err error) string {
	var (
		dns       *net.DNSError
		operation *net.OpError
		unknownCA x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &dns):
		return "the host name does not resolve"
	case errors.As(err, &unknownCA):
		return "its certificate is not from a trusted CA (see trust_ca)"
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return "its certificate is not valid for this host and time"
	case errors.As(err, &operation):
		return operation.Op + ": " + operation.Err.Error()
	default:
		return "the connection broke"
	}
}

// place is the request's URL without its query.
func place(request *http.Request) string {
	return request.URL.Scheme + "://" + request.URL.Host + request.URL.Path
}
