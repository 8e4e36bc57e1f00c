package sts

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Grant types that are offered.
const (
	GrantClientCredentials = "client_credentials"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, not a credential
)

// DefaultLifetime is how long a token is good unless its client says otherwise.
const DefaultLifetime = 2 * time.Minute

// TypeAccessToken is the type of the tokens that are issued, and of those that are
// exchanged.
const TypeAccessToken = exchange.TypeAccessToken

// A Client is one service that may ask for tokens, and all that it may have. What
// is not named is denied. It is immutable but for what its Auth remembers.
type Client struct {
	// ID is its client_id.
	ID string
	// Auth is how it proves itself.
	Auth Auth
	// Grants are the grant types that it may use.
	Grants []string
	// Subjects verifies the tokens that it may exchange, and those of actors: those of
	// the issuers that are named for it. Audience is not its business. nil: none.
	Subjects Verifier
	// SubjectTypes are the types of token that it may send, by their URIs.
	SubjectTypes []string
	// Audience are the services that it may have tokens for.
	Audience []string
	// Scope is the ceiling of what its tokens hold.
	Scope []string
	// Actors are the clients, by client_id, whose tokens it may send as actor_token.
	Actors []string
	// Lifetime is how long its tokens are good. Default: DefaultLifetime.
	Lifetime time.Duration
	// Opaque gives it references in place of tokens.
	Opaque bool
}

// Auth is how a client proves itself. Exactly one of its fields is set.
type Auth struct {
	// Secret is the hash of its secret (client_secret_basic, client_secret_post).
	Secret *SecretHash
	// Keys verify its assertions (private_key_jwt).
	Keys token.KeySource
	// Name is a subject alternative name of its certificate (tls_client_auth).
	Name string
}

func (a Auth) check() error {
	ways := 0
	for _, set := range []bool{a.Secret != nil, a.Keys != nil, a.Name != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("a client proves itself in exactly one way")
	}
	return nil
}

func (c *Client) check() error {
	if c.ID == "" {
		return errors.New("a client has no id")
	}
	if err := c.Auth.check(); err != nil {
		return fmt.Errorf("client %s: %w", c.ID, err)
	}
	return nil
}

func (c *Client) lifetime() time.Duration {
	if c.Lifetime <= 0 {
		return DefaultLifetime
	}
	return c.Lifetime
}

// subject is the name of the client where it is the subject of a token, or its
// current actor. It is no name that a user could have: users whose names begin so
// are refused (RFC 9700, section 4.15; RFC 9068, section 5).
func (c *Client) subject() string { return exchange.ClientPrefix + c.ID }

// may tells whether a list holds exactly that value.
func may(allowed []string, value string) bool { return slices.Contains(allowed, value) }
