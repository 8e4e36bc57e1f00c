package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

// Grants of a client of the token service.
const (
	ServiceClientCredentials = "client_credentials"
	ServiceTokenExchange     = "token_exchange"
)

// AuthSecretHash proves a client of the token service by a secret of which the
// configuration holds the hash.
const AuthSecretHash = "secret_hash"

// maxServiceLifetime bounds the tokens of the token service: they cannot be called
// back from services that verify them by themselves.
const maxServiceLifetime = 10 * time.Minute

const (
	serviceWordGrants        = "grants"
	serviceWordSubjectIssuer = "subject_issuer"
	serviceWordSubjectType   = "subject_type"
	serviceWordAudience      = "audience"
	serviceWordScope         = "scope"
	serviceWordActor         = "actor"
	serviceWordLifetime      = "lifetime"
	serviceWordOpaque        = "opaque"
)

// ServiceClient is one service that may ask the token service, and all that it may
// have.
type ServiceClient struct {
	// How it proves itself. Required.
	Auth *ServiceAuth `json:"auth,omitempty"`

	// The grant types that it may use: `client_credentials`, a token for itself, and
	// `token_exchange` (RFC 8693), a token for its caller. Default: none, for a client
	// that only asks about tokens.
	Grants []string `json:"grants,omitempty"`

	// The issuers whose tokens it may exchange, by name or URL: issuer blocks of the
	// app, and the gateway's own issuer. Required for `token_exchange`.
	SubjectIssuer []string `json:"subject_issuer,omitempty"`

	// The types of token that it may exchange: `access_token`. Required for
	// `token_exchange`.
	SubjectType []string `json:"subject_type,omitempty"`

	// The services that it may have tokens for, each the `aud` of a token. A token has
	// one. Required with `grants`.
	Audience []string `json:"audience,omitempty"`

	// The most that its tokens hold. An exchanged token never holds more than the
	// subject's. Default: its tokens have no scope.
	Scope []string `json:"scope,omitempty"`

	// The clients, by client_id, whose tokens it may send as `actor_token`. Default:
	// none; without an actor token the client itself is the actor.
	Actor []string `json:"actor,omitempty"`

	// How long its tokens are good, at most 10m, and never longer than the subject's
	// and the actor's. Default: 2m.
	Lifetime Duration `json:"lifetime,omitempty"`

	// Give it references in place of JWTs: random texts that say nothing, and that
	// only the endpoint `introspect` turns back, which must be offered. Default: false.
	Opaque bool `json:"opaque,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// ServiceAuth is how a client of the token service proves itself.
type ServiceAuth struct {
	// `private_key_jwt`, assertions that its key signs (RFC 7523); `tls`, a client
	// certificate (RFC 8705); or `secret_hash`, a secret. Required.
	Method string `json:"method,omitempty"`

	// For `private_key_jwt` the public keys of the client, a JWK Set or PEM file or an
	// https URL; for `tls` a subject alternative name of its certificate: a DNS name, a
	// URI such as a SPIFFE ID, or an e-mail address; for `secret_hash` the Argon2id hash
	// of the secret in the form `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. Required.
	Value string `json:"value,omitempty"`
}

var serviceAuthMethods = []string{AuthPrivateKeyJWT, AuthTLS, AuthSecretHash}

// The grammar of client in token_service:
//
//	client <id> {
//		auth           private_key_jwt <jwks file | https url> | tls <san> | secret_hash <argon2id>
//		grants         client_credentials token_exchange
//		subject_issuer <issuer...>
//		subject_type   access_token
//		audience       <aud...>
//		scope          <scope...>
//		actor          <client...>
//		lifetime       <duration>
//		opaque
//	}
func (c *ServiceClient) options() []option {
	return []option{
		{word: "auth", read: c.readAuth},
		{word: "grants", read: readList(&c.Grants)},
		{word: "subject_issuer", read: readList(&c.SubjectIssuer)},
		{word: "subject_type", read: readList(&c.SubjectType)},
		{word: "audience", read: readList(&c.Audience)},
		{word: "scope", read: readList(&c.Scope)},
		{word: "actor", read: readList(&c.Actor)},
		{word: "lifetime", read: readOne(&c.Lifetime)},
		{word: "opaque", read: readFlag(&c.Opaque)},
	}
}

// readAuth refuses a second value itself: endLine would print it, and it may be a
// secret that somebody took for its hash.
func (c *ServiceClient) readAuth(d *caddyfile.Dispenser) error {
	c.Auth = new(ServiceAuth)
	if err := readOne(&c.Auth.Method)(d); err != nil {
		return errAuthValues
	}
	if err := readOne(&c.Auth.Value)(d); err != nil || d.NextArg() {
		return errAuthValues
	}
	return nil
}

var errAuthValues = errors.New("two values are needed: write auth private_key_jwt <jwks file or https url>, auth tls <san> or auth secret_hash <argon2id>")

func (c *ServiceClient) settings() []setting {
	settings := slices.Concat(
		list(serviceWordGrants, c.Grants, checkOneOf("grant", ServiceClientCredentials, ServiceTokenExchange)),
		list(serviceWordSubjectIssuer, c.SubjectIssuer, checkRef),
		list(serviceWordSubjectType, c.SubjectType, checkOneOf("type", "access_token")),
		list(serviceWordAudience, c.Audience, checkText),
		list(serviceWordScope, c.Scope, checkScope),
		list(serviceWordActor, c.Actor, checkText),
		one(serviceWordLifetime, (*string)(&c.Lifetime), checkServiceLifetime),
	)
	if c.Auth != nil {
		settings = append(settings, c.Auth.settings()...)
	}
	return settings
}

func (a *ServiceAuth) settings() []setting {
	value := setting{word: wordAuth, text: &a.Value, check: a.checkValue, secret: a.Method == AuthSecretHash}
	return append(one(wordAuth, &a.Method, checkOneOf("method", serviceAuthMethods...)), value)
}

func (a *ServiceAuth) checkValue(text string) error {
	switch a.Method {
	case AuthPrivateKeyJWT:
		return checkKeySource(text)
	case AuthSecretHash:
		_, err := sts.ParseSecretHash(text)
		return err
	case AuthTLS:
		return checkSAN(text)
	default:
		return checkText(text)
	}
}

// checkSAN refuses what no certificate is accepted for: names are compared whole, and
// a wildcard would be everybody's under it.
func checkSAN(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	if strings.ContainsAny(text, "* ") {
		return fmt.Errorf("%q is not one name of a certificate: write a DNS name, a URI or an e-mail address, whole and without wildcard", text)
	}
	return nil
}

func checkServiceLifetime(text string) error {
	if err := checkPositive(text); err != nil {
		return err
	}
	if value := Duration(text).Or(0); value < time.Second || value > maxServiceLifetime {
		return fmt.Errorf("%s is not between 1s and 10m", text)
	}
	return nil
}

func (c *ServiceClient) contradiction() error {
	for _, values := range []struct {
		word string
		list []string
	}{
		{serviceWordGrants, c.Grants},
		{serviceWordSubjectIssuer, c.SubjectIssuer},
		{serviceWordSubjectType, c.SubjectType},
		{serviceWordAudience, c.Audience},
		{serviceWordScope, c.Scope},
		{serviceWordActor, c.Actor},
	} {
		if err := checkOnce(values.word, values.list); err != nil {
			return err
		}
	}
	return nil
}

func (c *ServiceClient) missing() error {
	if c.Auth == nil || c.Auth.Method == "" {
		return errors.New("auth is missing: write auth private_key_jwt, auth tls or auth secret_hash, and its value")
	}
	if err := c.unused(); err != nil {
		return err
	}
	switch {
	case len(c.Grants) > 0 && len(c.Audience) == 0:
		return errors.New("audience is missing: write audience <aud...>, the services that it may have tokens for")
	case c.exchanges() && len(c.SubjectIssuer) == 0:
		return errors.New("subject_issuer is missing: grants token_exchange needs subject_issuer <issuer...>")
	case c.exchanges() && len(c.SubjectType) == 0:
		return errors.New("subject_type is missing: grants token_exchange needs subject_type access_token")
	}
	return nil
}

func (c *ServiceClient) exchanges() bool { return slices.Contains(c.Grants, ServiceTokenExchange) }

// unused finds an option that no grant of the client uses.
func (c *ServiceClient) unused() error {
	for _, o := range []struct {
		word     string
		set      bool
		exchange bool
	}{
		{serviceWordSubjectIssuer, len(c.SubjectIssuer) > 0, true},
		{serviceWordSubjectType, len(c.SubjectType) > 0, true},
		{serviceWordActor, len(c.Actor) > 0, true},
		{serviceWordAudience, len(c.Audience) > 0, false},
		{serviceWordScope, len(c.Scope) > 0, false},
		{serviceWordLifetime, c.Lifetime != "", false},
		{serviceWordOpaque, c.Opaque, false},
	} {
		switch {
		case o.set && len(c.Grants) == 0:
			return fmt.Errorf("%s is for clients that get tokens: write grants <grant...>, or leave %s out", o.word, o.word)
		case o.set && o.exchange && !c.exchanges():
			return fmt.Errorf("%s is for grants token_exchange: add it, or leave %s out", o.word, o.word)
		}
	}
	return nil
}

// links wants the issuers of subject tokens to be blocks, or the gateway itself.
func (c *ServiceClient) links(g *Gatehouse) error {
	for _, ref := range c.SubjectIssuer {
		name, issuer, ok := g.Issuer(ref)
		switch {
		case ok && issuer.Outbound:
			return fmt.Errorf("subject_issuer: %s is outbound: it is only called, and its tokens are never accepted", issuer.Label(name))
		case ok || ref == g.Sign.Issuer:
		case isURL(ref):
			return fmt.Errorf("subject_issuer: no issuer block has the URL %s, and it is not the issuer in sign: write a block", ref)
		default:
			return fmt.Errorf("subject_issuer: %w", unknown("issuer", ref, sorted(g.Issuers)))
		}
	}
	return nil
}
