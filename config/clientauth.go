package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The ways a client proves itself.
const (
	// AuthBasic sends id and secret in the Authorization header (RFC 6749, section
	// 2.3.1).
	AuthBasic = "basic"
	// AuthPost sends them in the form.
	AuthPost = "post"
	// AuthSecretJWT sends an assertion signed with the secret (OpenID Connect
	// Core, section 9).
	AuthSecretJWT = "secret_jwt"
	// AuthPrivateKeyJWT sends an assertion signed with a private key (RFC 7523).
	AuthPrivateKeyJWT = "private_key_jwt"
	// AuthTLS shows a client certificate (RFC 8705, section 2).
	AuthTLS = "tls"
	// AuthFederated sends an assertion that another issuer made for the workload.
	AuthFederated = "federated"
	// AuthNone sends the identifier alone.
	AuthNone = "none"
)

// Words of a client that depend on how it authenticates.
const (
	wordAuth          = "auth"
	wordSecret        = "secret"
	wordKey           = "key"
	wordKeyModule     = "key_module"
	wordCertificate   = "certificate"
	wordAssertionFile = "assertion_file"
	wordAssertion     = "assertion"
)

var authMethods = []string{AuthBasic, AuthPost, AuthSecretJWT, AuthPrivateKeyJWT, AuthTLS, AuthFederated, AuthNone}

// ClientKey is a private key in a file, and how it signs.
type ClientKey struct {
	// The file: a JWK with its private members, or PEM with one private key. It is
	// read again when it changes. Required.
	File string `json:"file,omitempty"`

	// The signature algorithm. Default: the one that the JWK names, else `RS256`
	// for an RSA key and the one of its curve for any other.
	Algorithm string `json:"algorithm,omitempty"`

	// The key's identifier at the authorization server (`kid`). Default: the one
	// that the JWK names, else none.
	ID string `json:"id,omitempty"`
}

// ClientCertificate is a certificate and its private key. Both files are read
// again when they change.
type ClientCertificate struct {
	// The PEM file with the certificate, and its chain behind it. Required.
	Certificate string `json:"certificate,omitempty"`

	// The PEM file with the private key. Required.
	Key string `json:"key,omitempty"`
}

// AuthMethod returns how the client authenticates, one of the words above.
func (c *Client) AuthMethod() string {
	if c.Auth == "" {
		return AuthBasic
	}
	return c.Auth
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

// readsAgain notes the file of a secret.
func (c *Client) readsAgain(index int) func(path string) {
	return func(path string) {
		if c.SecretFiles == nil {
			c.SecretFiles = make(map[int]string)
		}
		c.SecretFiles[index] = path
	}
}

func (c *Client) readKey(d *caddyfile.Dispenser) error {
	c.Key = new(ClientKey)
	return c.Key.read(d)
}

func (k *ClientKey) read(d *caddyfile.Dispenser) error {
	if err := readOne(&k.File)(d); err != nil {
		return err
	}
	for _, to := range []*string{&k.Algorithm, &k.ID} {
		if !d.NextArg() {
			return nil
		}
		if *to = d.Val(); *to == "" {
			return errEmpty
		}
	}
	return nil
}

func (k *ClientKey) settings(word string) []setting {
	return slices.Concat(
		one(word, &k.File, checkText),
		one(word, &k.Algorithm, checkKeyAlgorithm),
		one(word, &k.ID, checkText))
}

func (c *Client) readCertificate(d *caddyfile.Dispenser) error {
	c.Certificate = new(ClientCertificate)
	if err := readOne(&c.Certificate.Certificate)(d); err != nil {
		return err
	}
	if err := readOne(&c.Certificate.Key)(d); err != nil {
		return errors.New("two values are needed: write certificate <cert file> <key file>")
	}
	return nil
}

func (c *Client) readAssertion(d *caddyfile.Dispenser) error {
	c.Assertion = new(Assertion)
	return readBlock(d, wordAssertion, c.Assertion)
}

func (c *Client) authSettings() []setting {
	settings := slices.Concat(
		one(wordAuth, &c.Auth, checkOneOf("method", authMethods...)),
		one(wordAssertionFile, &c.AssertionFile, checkText),
	)
	for i := range c.Secrets {
		settings = append(settings, setting{
			word: wordSecret, text: (*string)(&c.Secrets[i]), check: checkText, secret: true, file: c.readsAgain(i),
		})
	}
	if c.Key != nil {
		settings = append(settings, c.Key.settings(wordKey)...)
	}
	if c.Certificate != nil {
		settings = slices.Concat(settings,
			one(wordCertificate, &c.Certificate.Certificate, checkText),
			one(wordCertificate, &c.Certificate.Key, checkText))
	}
	if c.Assertion != nil {
		for _, s := range c.Assertion.settings() {
			s.word = wordAssertion + ": " + s.word
			settings = append(settings, s)
		}
	}
	return settings
}

// authContradiction finds what the method that is written does not use.
func (c *Client) authContradiction() error {
	switch {
	case len(c.Secrets) > 2: //nolint:mnd // old and new
		return errors.New("more than two secrets: keep the old one and the new one while they rotate")
	case len(c.Secrets) == 2 && c.Secrets[0] == c.Secrets[1]:
		return errors.New("both secrets are the same: keep one line")
	case c.TokenEndpoint != "" && c.Assertion != nil && c.Assertion.Audience == audienceIssuer:
		return errors.New("assertion: audience issuer needs issuer <issuer>: with token_endpoint write endpoint or a value")
	case c.Key != nil && c.KeyModuleRaw != nil:
		return errors.New("key and key_module exclude each other: an assertion has one signature")
	case c.Auth == "":
		return nil // it may follow
	}
	return c.unused()
}

// unused finds an option that the client's method does not use: whoever wrote it
// believes in a proof that is never given.
func (c *Client) unused() error {
	if !slices.Contains(authMethods, c.AuthMethod()) {
		return nil // a placeholder still
	}
	for _, o := range []struct {
		word string
		set  bool
		by   []string
	}{
		{wordSecret, len(c.Secrets) > 0, []string{AuthBasic, AuthPost, AuthSecretJWT}},
		{wordKey, c.Key != nil, []string{AuthPrivateKeyJWT}},
		{wordKeyModule, c.KeyModuleRaw != nil, []string{AuthPrivateKeyJWT}},
		{wordCertificate, c.Certificate != nil, []string{AuthTLS, AuthPrivateKeyJWT}},
		{wordAssertionFile, c.AssertionFile != "", []string{AuthFederated}},
		{wordAssertion, c.Assertion != nil, []string{AuthSecretJWT, AuthPrivateKeyJWT}},
	} {
		if o.set && !slices.Contains(o.by, c.AuthMethod()) {
			return fmt.Errorf("%s and auth %s exclude each other: %s is for auth %s",
				o.word, c.AuthMethod(), o.word, oneOf(o.by))
		}
	}
	return nil
}

// oneOf joins words as a sentence does.
func oneOf(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// authMissing finds what the method needs, once all is written.
func (c *Client) authMissing() error {
	if err := c.unused(); err != nil {
		return err
	}
	method := c.AuthMethod()
	switch {
	case len(c.Secrets) == 0 && slices.Contains([]string{AuthBasic, AuthPost, AuthSecretJWT}, method):
		return fmt.Errorf("secret is missing: auth %s needs secret <value>", method)
	case method == AuthPrivateKeyJWT && c.KeyModuleRaw == nil && (c.Key == nil || c.Key.File == ""):
		return errors.New("key is missing: auth private_key_jwt needs key <pem or jwk file>")
	case method == AuthTLS && c.Certificate == nil:
		return errors.New("certificate is missing: auth tls needs certificate <cert file> <key file>")
	case method == AuthFederated && c.AssertionFile == "":
		return errors.New("assertion_file is missing: auth federated needs assertion_file <path>")
	case c.Certificate != nil && (c.Certificate.Certificate == "" || c.Certificate.Key == ""):
		return errors.New("certificate: two values are needed: write certificate <cert file> <key file>")
	}
	return c.assertionMissing()
}

func (c *Client) assertionMissing() error {
	thumbprint := c.Assertion != nil && c.Assertion.Header != ""
	signs := c.AuthMethod() == AuthSecretJWT || c.AuthMethod() == AuthPrivateKeyJWT
	switch {
	case signs && c.Issuer == "" && (c.Assertion == nil || c.Assertion.Audience == ""):
		return errors.New("the assertion's audience is missing: with token_endpoint write audience endpoint, or a value, in assertion")
	case thumbprint && c.Certificate == nil:
		return errors.New("certificate is missing: header x5t#S256 needs certificate <cert file> <key file>")
	case c.Certificate != nil && c.AuthMethod() == AuthPrivateKeyJWT && !thumbprint:
		return errors.New("certificate is not used: auth private_key_jwt needs it for header x5t#S256 in assertion alone")
	case c.Assertion != nil && c.Assertion.missing() != nil:
		return fmt.Errorf("assertion: %w", c.Assertion.missing())
	}
	return nil
}

const (
	audienceIssuer   = "issuer"
	audienceEndpoint = "endpoint"
	// headerThumbprint is the one header that an assertion may have beside typ.
	headerThumbprint = "x5t#S256"
	maxAssertionLife = 5 * time.Minute
)

// DefaultAssertionLife is how long an assertion is good.
const DefaultAssertionLife = time.Minute

// Assertion is what a client's assertions say (RFC 7523, section 3).
type Assertion struct {
	// For whom they are (`aud`): `issuer`, the server's issuer identifier alone;
	// `endpoint`, the address that they are sent to, for servers that insist on it;
	// or a value. Default: `issuer`.
	Audience string `json:"audience,omitempty"`

	// The type in their header. Default: `client-authentication+jwt`.
	Type string `json:"typ,omitempty"`

	// How long they are good, at most 5m. Each request has its own. Default: 60s.
	Lifetime Duration `json:"lifetime,omitempty"`

	// A further header: `x5t#S256`, the thumbprint of `certificate`, by which some
	// servers find the key. Default: none.
	Header string `json:"header,omitempty"`
}

// ForEndpoint tells whether they are for the endpoint, whichever it is.
func (a *Assertion) ForEndpoint() bool { return a != nil && a.Audience == audienceEndpoint }

// Value returns the fixed text of their audience, "" if it is another.
func (a *Assertion) Value() string {
	if a == nil || a.Audience == audienceIssuer || a.Audience == audienceEndpoint {
		return ""
	}
	return a.Audience
}

func (a *Assertion) options() []option {
	return []option{
		{word: "audience", read: readOne(&a.Audience)},
		{word: "typ", read: readOne(&a.Type)},
		{word: "lifetime", read: readOne(&a.Lifetime)},
		{word: "header", read: readOne(&a.Header)},
	}
}

func (a *Assertion) settings() []setting {
	return slices.Concat(
		one("audience", &a.Audience, checkText),
		one("typ", &a.Type, checkText),
		one("lifetime", (*string)(&a.Lifetime), checkAssertionLife),
		one("header", &a.Header, checkOneOf("header", headerThumbprint)),
	)
}

func checkAssertionLife(text string) error {
	if err := checkPositive(text); err != nil {
		return err
	}
	if Duration(text).Or(0) > maxAssertionLife {
		return errors.New("an assertion lives 5m at most: each request has its own")
	}
	return nil
}

func (*Assertion) contradiction() error { return nil }

func (a *Assertion) missing() error {
	if *a == (Assertion{}) {
		return errors.New("the block is empty: write an option in it, or leave it out")
	}
	return nil
}
