package authserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
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
)

const (
	// DefaultClientTimeout bounds one request for a token, discovery included.
	DefaultClientTimeout = 3 * time.Second
	// maxTokenAnswerBytes bounds a token endpoint's answer.
	maxTokenAnswerBytes = 64 << 10
)

// clientAuthFields are the form fields that client authentication uses. A
// request that brings one itself could carry two proofs (RFC 6749, section 2.3).
var clientAuthFields = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

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
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Client is an OAuth client at one authorization server. It is immutable and
// safe for concurrent use.
type Client struct {
	options ClientOptions
	http    *httpx.Client
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
	client, err := httpx.New(httpx.Options{TrustCA: options.TrustCA, Timeout: options.Timeout})
	if err != nil {
		return nil, fmt.Errorf("trust_ca: %w", err)
	}
	return &Client{options: options, http: client}, nil
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
	if err := options.Auth.check(); err != nil {
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

// Timeout bounds one request for a token.
func (c *Client) Timeout() time.Duration { return c.options.Timeout }

// Identity lists what tells this client's tokens from those of another: the
// server or its endpoint, the client_id, the kind and name of its key. It holds
// no secret, so that tokens outlive a secret that rotates.
func (c *Client) Identity() []string {
	return []string{c.Issuer(), c.options.TokenEndpoint, c.options.ID, c.options.Auth.keyID()}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.Close() }

// Token posts a form to the token endpoint as this client. The form is not
// changed; it must not bring client authentication of its own. Errors: *Refusal,
// or one that wraps ErrUnreachable, ErrTimeout, ErrBadAnswer, or
// context.Canceled if ctx was cancelled.
func (c *Client) Token(ctx context.Context, form url.Values) (*TokenResponse, error) {
	limited, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	endpoint, err := c.endpoint(limited)
	if err != nil {
		return nil, classify(ctx, err)
	}
	request, err := c.request(limited, endpoint, form)
	if err != nil {
		return nil, err
	}
	sent := c.options.Now()
	answer, err := c.http.Do(request, maxTokenAnswerBytes)
	if err != nil {
		c.rediscover(errors.Is(err, httpx.ErrUnreachable))
		return nil, classify(ctx, err)
	}
	c.rediscover(answer.Status == http.StatusNotFound || answer.Status == http.StatusGone)
	return readAnswer(answer, sent, c.options.Now())
}

func (c *Client) endpoint(ctx context.Context) (string, error) {
	if c.options.Server == nil {
		return c.options.TokenEndpoint, nil
	}
	return c.options.Server.TokenEndpoint(ctx)
}

// rediscover looks for the endpoint anew at the next request: it may have moved.
func (c *Client) rediscover(moved bool) {
	if moved && c.options.Server != nil {
		c.options.Server.Forget()
	}
}

func (c *Client) request(ctx context.Context, endpoint string, form url.Values) (*http.Request, error) {
	attempt := &attempt{
		clientID: c.options.ID,
		endpoint: endpoint,
		issuer:   c.Issuer(),
		form:     make(url.Values, len(form)+2),
		header:   make(http.Header, 4),
	}
	maps.Copy(attempt.form, form)
	for _, name := range clientAuthFields {
		if attempt.form.Has(name) {
			return nil, fmt.Errorf("the request brings %s itself", name)
		}
	}
	if err := c.options.Auth.authenticate(ctx, attempt); err != nil {
		return nil, fmt.Errorf("authenticating client %s: %w", c.options.ID, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(attempt.form.Encode()))
	if err != nil {
		return nil, errors.New("making the request for a token: not a URL")
	}
	request.Header = attempt.header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// classify gives an error one of the names above. Only a caller that left is not
// the server's fault: then there is nothing to say about the server.
func classify(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("asking for a token: %w", context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, httpx.ErrUnreachable):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, httpx.ErrTooLarge), errors.Is(err, ErrMetadata), errors.Is(err, ErrNoEndpoint):
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}
