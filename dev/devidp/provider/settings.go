package provider

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Default values of Settings.
const (
	DefaultTokenLifetime = 5 * time.Minute
	DefaultAlgorithm     = "ES256"
)

// ErrSettings is wrapped by every error of Settings.Validate.
var ErrSettings = errors.New("dev_idp settings")

// Settings is what one provider is told. It never changes after New.
type Settings struct {
	// Issuer is the provider's URL: http or https, a loopback host, no query
	// and no slash at its end. It may have a path.
	Issuer string
	// Users may sign in at the login page.
	Users []User
	// Clients may ask for tokens.
	Clients []Client
	// TokenLifetime is how long access and ID tokens live. Default: 5m.
	TokenLifetime time.Duration
	// Algorithm signs every token: ES256, RS256 or EdDSA. Default: ES256.
	Algorithm string
	// FaultsToken guards the endpoints under /dev. Default: a random one,
	// see Provider.Announce.
	FaultsToken string
}

// User is a person who can sign in.
type User struct {
	// Name is what the person types, and the sub claim of their tokens.
	Name string `json:"name"`
	// Password is compared as it is.
	Password string `json:"password"`
	// Email and FullName are given out under the scopes email and profile.
	Email    string `json:"email,omitempty"`
	FullName string `json:"full_name,omitempty"`
	// Claims go into each of the user's access tokens. Registered claims
	// (iss, aud, exp and their kin) are refused.
	Claims map[string]any `json:"claims,omitempty"`
}

// reservedClaims belong to the provider: a user's own claim of that name would
// silently forge what a resource server relies on.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "azp", "nonce", "at_hash",
}

// algorithms are the signature algorithms a provider can use.
var algorithms = map[string]jose.SignatureAlgorithm{
	"ES256": jose.ES256, "RS256": jose.RS256, "EdDSA": jose.EdDSA,
}

// withDefaults fills in what was not set.
func (s Settings) withDefaults() Settings {
	if s.TokenLifetime == 0 {
		s.TokenLifetime = DefaultTokenLifetime
	}
	if s.Algorithm == "" {
		s.Algorithm = DefaultAlgorithm
	}
	return s
}

// Validate reports the first thing in s that cannot work.
func (s Settings) Validate() error {
	s = s.withDefaults()
	if err := validateIssuer(s.Issuer); err != nil {
		return err
	}
	if _, ok := algorithms[s.Algorithm]; !ok {
		return fmt.Errorf("%w: algorithm %q is not known; use ES256, RS256 or EdDSA", ErrSettings, s.Algorithm)
	}
	if s.TokenLifetime < time.Second {
		return fmt.Errorf("%w: token_lifetime must be one second or more", ErrSettings)
	}
	if err := validateUsers(s.Users); err != nil {
		return err
	}
	return validateClients(s.Clients)
}

func validateIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%w: issuer %q is not an http or https URL", ErrSettings, issuer)
	}
	if !IsLoopbackName(u.Host) {
		return fmt.Errorf("%w: issuer %q is not on a loopback host; use localhost or 127.0.0.1", ErrSettings, issuer)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(issuer, "/") {
		return fmt.Errorf("%w: issuer %q must have no user, query, fragment or slash at its end", ErrSettings, issuer)
	}
	return nil
}

func validateUsers(users []User) error {
	seen := make(map[string]bool)
	for _, u := range users {
		if u.Name == "" || u.Password == "" {
			return fmt.Errorf("%w: user %q needs a name and a password", ErrSettings, u.Name)
		}
		if seen[u.Name] {
			return fmt.Errorf("%w: user %q is there twice", ErrSettings, u.Name)
		}
		seen[u.Name] = true
		for name := range u.Claims {
			if slices.Contains(reservedClaims, name) {
				return fmt.Errorf("%w: user %q: claim %q is the provider's own", ErrSettings, u.Name, name)
			}
		}
	}
	return nil
}

func validateClients(clients []Client) error {
	seen := make(map[string]bool)
	for _, c := range clients {
		if seen[c.ID] {
			return fmt.Errorf("%w: client %q is there twice", ErrSettings, c.ID)
		}
		seen[c.ID] = true
		if err := c.validate(); err != nil {
			return fmt.Errorf("%w: client %q: %w", ErrSettings, c.ID, err)
		}
	}
	return nil
}
