package authserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

// Errors of Client.Token beside *Refusal and the context's. What they wrap is
// for the operator's log; none holds a token, a secret or a server's free text.
var (
	// ErrUnreachable says that the server could not be asked: DNS, TCP, TLS, a
	// connection that broke.
	ErrUnreachable = errors.New("authorization server is unreachable")
	// ErrTimeout says that the server did not answer in time.
	ErrTimeout = errors.New("authorization server did not answer in time")
	// ErrBadAnswer says that the server answered with something else than what
	// the RFCs say: a redirect, no JSON, missing members, too much.
	ErrBadAnswer = errors.New("authorization server gave a bad answer")
	// ErrCredentials says that the gateway could not prove itself: nothing was
	// sent.
	ErrCredentials = errors.New("authenticating to the authorization server")
)

const (
	// DefaultClientTimeout bounds one request for a token, discovery included.
	DefaultClientTimeout = 3 * time.Second
	// maxAnswerBytes bounds the answer to a form.
	maxAnswerBytes = 64 << 10
)

// ClientOptions shape a Client.
type ClientOptions struct {
	// ID is the client_id.
	ID string
	// Auth proves the client.
	Auth ClientAuth
	// Server finds the token endpoint by discovery.
	Server *Server
	// TokenEndpoint is its address, instead of Server.
	TokenEndpoint string
	// TrustCA are PEM bundles; see httpx.Options.
	TrustCA [][]byte
	// Timeout bounds one request for a token, discovery included. Default: 3s.
	Timeout time.Duration
	// Guard contains the calls to the server. Clients of one server should share
	// it, those of earlier and later configurations too. Default: one of its own.
	Guard *Guard
	// Log is told when the server begins to be left alone, and when it answers
	// again. Default: nobody is.
	Log *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Client is an OAuth client at one authorization server. It is immutable and
// safe for concurrent use.
type Client struct {
	options ClientOptions
	plain   *connections // nil if it shows a certificate
	shows   *showing     // nil if it shows none
}

// NewClient makes a client. Nothing is fetched.
func NewClient(options ClientOptions) (*Client, error) {
	if err := checkClient(options); err != nil {
		return nil, err
	}
	if options.Timeout <= 0 {
		options.Timeout = DefaultClientTimeout
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Guard == nil {
		options.Guard = NewGuard()
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	settings := httpx.Options{TrustCA: options.TrustCA, Timeout: options.Timeout}
	connected, err := httpx.New(settings)
	if err != nil {
		return nil, fmt.Errorf("trust_ca: %w", err)
	}
	client := &Client{options: options, plain: &connections{http: connected}}
	if method, ok := options.Auth.(certified); ok {
		client.plain, client.shows = nil, &showing{certificate: method.certificate(), settings: settings}
	}
	return client, nil
}

func checkClient(options ClientOptions) error {
	switch {
	case options.ID == "":
		return errors.New("client_id is missing")
	case options.Auth == nil:
		return errors.New("auth is missing")
	case (options.Server == nil) == (options.TokenEndpoint == ""):
		return errors.New("either issuer or token_endpoint is needed, and not both")
	}
	if err := options.Auth.check(options); err != nil {
		return err
	}
	if options.TokenEndpoint == "" {
		return nil
	}
	if _, err := httpx.CheckURL(options.TokenEndpoint); err != nil {
		return fmt.Errorf("token_endpoint: %w", err)
	}
	return nil
}

// ID is the client_id.
func (c *Client) ID() string { return c.options.ID }

// Issuer is the server's issuer identifier, "" where only an endpoint is
// configured.
func (c *Client) Issuer() string {
	if c.options.Server == nil {
		return ""
	}
	return c.options.Server.Issuer()
}

// Host is the server's host and port, as its issuer identifier or its endpoint names
// it.
func (c *Client) Host() string {
	address := c.options.TokenEndpoint
	if address == "" {
		address = c.Issuer()
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// Timeout bounds one request for a token.
func (c *Client) Timeout() time.Duration { return c.options.Timeout }

// Identity lists what tells this client's tokens from those of another: the
// server or its endpoint, the client_id, the kind and name of its key. It holds
// no secret, so that tokens outlive a secret that rotates.
func (c *Client) Identity() []string {
	return []string{c.Issuer(), c.options.TokenEndpoint, c.options.ID, c.options.Auth.keyID()}
}
