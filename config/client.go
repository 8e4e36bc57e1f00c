package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// DefaultClientTimeout bounds one call to a token endpoint.
const DefaultClientTimeout = 3 * time.Second

// The ways a client proves itself (RFC 6749, section 2.3.1).
const (
	// AuthBasic sends id and secret in the Authorization header.
	AuthBasic = "basic"
	// AuthPost sends them in the form.
	AuthPost = "post"
)

// Client says how the gateway proves itself to an authorization server.
type Client struct {
	// The authorization server: the name of an issuer with one URL, or a URL. Its
	// token endpoint is found by discovery. A URL that no issuer block declares is
	// called, and never trusted. This or `token_endpoint` is required.
	Issuer string `json:"issuer,omitempty"`

	// The token endpoint itself, instead of `issuer`. Exchanges of this client
	// must then say `subject_issuer`.
	TokenEndpoint string `json:"token_endpoint,omitempty"`

	// The client's identifier at the authorization server. Required.
	ClientID string `json:"client_id,omitempty"`

	// How the client authenticates: `basic` or `post`. Default: `basic`.
	Auth string `json:"auth,omitempty"`

	// The client's secret, as a list of one. Required.
	Secrets []Secret `json:"secrets,omitempty"`

	// How long one request for a token may take, discovery included. Default: 3s.
	Timeout Duration `json:"timeout,omitempty"`

	// PEM files with the certificate authorities that the server's TLS
	// certificate may come from; then only these. Default: those of the system.
	TrustCA []string `json:"trust_ca,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Label names the block and its place, for messages.
func (c *Client) Label(name string) string { return at("client "+name, c.Place) }

// AuthMethod returns how the client authenticates: AuthBasic or AuthPost.
func (c *Client) AuthMethod() string {
	if c.Auth == "" {
		return AuthBasic
	}
	return c.Auth
}

// The grammar of a client:
//
//	client <name> {
//		issuer         <issuer>
//		token_endpoint <url>
//		client_id      <id>
//		auth           basic | post
//		secret         <value>
//		timeout        <duration>
//		trust_ca       <pem file...>
//	}
//
// issuer and token_endpoint exclude each other.
func (c *Client) options() []option {
	return []option{
		{word: "issuer", read: readOne(&c.Issuer)},
		{word: "token_endpoint", read: readOne(&c.TokenEndpoint)},
		{word: "client_id", read: readOne(&c.ClientID)},
		{word: "auth", read: readOne(&c.Auth)},
		{word: "secret", read: c.readSecret},
		{word: "timeout", read: readOne(&c.Timeout)},
		{word: "trust_ca", read: readList(&c.TrustCA)},
	}
}

// readSecret refuses a second value itself: endLine would print it.
func (c *Client) readSecret(d *caddyfile.Dispenser) error {
	var secret Secret
	if err := readOne(&secret)(d); err != nil {
		return err
	}
	if d.NextArg() {
		return errors.New("more than one value on the line: a secret with blanks needs quotes")
	}
	c.Secrets = append(c.Secrets, secret)
	return nil
}

func (c *Client) settings() []setting {
	settings := slices.Concat(
		one("issuer", &c.Issuer, checkRef),
		one("token_endpoint", &c.TokenEndpoint, checkURL),
		one("client_id", &c.ClientID, checkText),
		one("auth", &c.Auth, checkOneOf("method", AuthBasic, AuthPost)),
		one("timeout", (*string)(&c.Timeout), checkPositive),
		list("trust_ca", c.TrustCA, checkText),
	)
	for i := range c.Secrets {
		settings = append(settings, setting{
			word: "secret", text: (*string)(&c.Secrets[i]), check: checkText, secret: true,
		})
	}
	return settings
}

func (c *Client) contradiction() error {
	switch {
	case c.Issuer != "" && c.TokenEndpoint != "":
		return errors.New("issuer and token_endpoint exclude each other: the issuer's metadata names its endpoint")
	case len(c.Secrets) > 1:
		return errors.New("more than one secret: keep the one that is valid")
	}
	return nil
}

func (c *Client) missing() error {
	switch {
	case c.Issuer == "" && c.TokenEndpoint == "":
		return errors.New("the server is missing: write issuer <issuer> or token_endpoint <url>")
	case c.ClientID == "":
		return errors.New("client_id is missing: write client_id <id>")
	case len(c.Secrets) == 0:
		return fmt.Errorf("secret is missing: auth %s needs secret <value>", c.AuthMethod())
	}
	return nil
}

// links checks the client's issuer. A block with several URLs has several token
// endpoints, and nothing says which is meant.
func (c *Client) links(g *Gatehouse) error {
	if c.Issuer == "" {
		return nil
	}
	if err := g.known(c.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if name, issuer, ok := g.Issuer(c.Issuer); ok && len(issuer.URLs) > 1 {
		return fmt.Errorf("%s has several URLs: a client needs an issuer with one URL", issuer.Label(name))
	}
	return nil
}
