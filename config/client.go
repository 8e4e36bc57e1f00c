package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultClientTimeout bounds one call to an authorization server.
const DefaultClientTimeout = 3 * time.Second

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

	// How the client authenticates. `basic` and `post` send the secret, in the
	// Authorization header or in the form. `secret_jwt` and `private_key_jwt` send
	// a short-lived assertion, signed with the secret or with the private key.
	// `tls` shows a client certificate. `federated` sends a token that the platform
	// keeps for this workload in a file. `none` proves nothing. Default: `basic`.
	Auth string `json:"auth,omitempty"`

	// The client's secret, as a list; while it rotates, the old one and the new
	// one. The first is sent, and the other once the server refuses it. One that
	// is exactly a `{file.*}` placeholder is read again when the file changes.
	// Required with `basic`, `post` and `secret_jwt`; the last needs 32 bytes.
	Secrets []Secret `json:"secrets,omitempty"`

	// The private key that signs assertions. This or `key_module` is required with
	// `private_key_jwt`.
	Key *ClientKey `json:"key,omitempty"`

	// A module that holds the private key, instead of `key`: a key store or a
	// device that the key never leaves. Default: none.
	KeyModuleRaw json.RawMessage `json:"key_module,omitempty" caddy:"namespace=gatehouse.keys inline_key=module"`

	// The client's certificate. Required with `tls`, and with `header x5t#S256`
	// in `assertion`.
	Certificate *ClientCertificate `json:"certificate,omitempty"`

	// The file with a token of this workload: of a Kubernetes service account, or
	// a SPIFFE JWT-SVID. It is read again when it changes. Required with
	// `federated`.
	AssertionFile string `json:"assertion_file,omitempty"`

	// What the assertions of `secret_jwt` and `private_key_jwt` say. Default: for
	// the issuer, with the type `client-authentication+jwt`, good for 60s.
	Assertion *Assertion `json:"assertion,omitempty"`

	// How long one call to the authorization server may take. Default: 3s.
	Timeout Duration `json:"timeout,omitempty"`

	// PEM files with the certificate authorities that the server's TLS
	// certificate may come from; then only these. Default: those of the system.
	TrustCA []string `json:"trust_ca,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`

	// SecretFiles are the files of those secrets that are read again, by their
	// index. Expand writes it.
	SecretFiles map[int]string `json:"-"`
}

// Label names the block and its place, for messages.
func (c *Client) Label(name string) string { return at("client "+name, c.Place) }

// The grammar of a client:
//
//	client <name> {
//		issuer         <issuer>
//		token_endpoint <url>
//		client_id      <id>
//		auth           basic | post | secret_jwt | private_key_jwt | tls | federated | none
//		secret         <value>
//		key            <pem or jwk file> [<alg>] [<kid>]
//		key_module     <module> ...
//		certificate    <cert file> <key file>
//		assertion_file <path>
//		assertion {
//			audience issuer | endpoint | <value>
//			typ      <typ>
//			lifetime <duration>
//			header   x5t#S256
//		}
//		timeout        <duration>
//		trust_ca       <pem file...>
//	}
//
// issuer and token_endpoint exclude each other. secret may be written twice.
func (c *Client) options() []option {
	return []option{
		{word: "issuer", read: readOne(&c.Issuer)},
		{word: "token_endpoint", read: readOne(&c.TokenEndpoint)},
		{word: "client_id", read: readOne(&c.ClientID)},
		{word: wordAuth, read: readOne(&c.Auth)},
		{word: wordSecret, read: c.readSecret, repeat: true},
		{word: wordKey, read: c.readKey},
		{word: wordKeyModule, read: c.readKeyModule},
		{word: wordCertificate, read: c.readCertificate},
		{word: wordAssertionFile, read: readOne(&c.AssertionFile)},
		{word: wordAssertion, read: c.readAssertion},
		{word: "timeout", read: readOne(&c.Timeout)},
		{word: "trust_ca", read: readList(&c.TrustCA)},
	}
}

func (c *Client) settings() []setting {
	return slices.Concat(
		one("issuer", &c.Issuer, checkRef),
		one("token_endpoint", &c.TokenEndpoint, checkURL),
		one("client_id", &c.ClientID, checkText),
		c.authSettings(),
		one("timeout", (*string)(&c.Timeout), checkPositive),
		list("trust_ca", c.TrustCA, checkText),
	)
}

func (c *Client) contradiction() error {
	if c.Issuer != "" && c.TokenEndpoint != "" {
		return errors.New("issuer and token_endpoint exclude each other: the issuer's metadata names its endpoint")
	}
	return c.authContradiction()
}

func (c *Client) missing() error {
	switch {
	case c.Issuer == "" && c.TokenEndpoint == "":
		return errors.New("the server is missing: write issuer <issuer> or token_endpoint <url>")
	case c.ClientID == "":
		return errors.New("client_id is missing: write client_id <id>")
	}
	return c.authMissing()
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
