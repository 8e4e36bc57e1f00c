package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// DefaultMaxTTL is the longest that an issued token is used again unless
// configured. It is what bounds a revocation that the server does not pass on to
// tokens it has already exchanged.
const DefaultMaxTTL = 5 * time.Minute

// A Requester asks one authorization server's token endpoint as one client; see
// authserver.Client, which is one.
type Requester interface {
	// Token posts a form. Errors are those of authserver.Client.Token.
	Token(ctx context.Context, form url.Values) (*authserver.TokenResponse, error)
	// Issuer is the server's issuer identifier, "" if it is not known.
	Issuer() string
	// Identity lists what tells its tokens from those of another client.
	Identity() []string
	// Timeout bounds one request.
	Timeout() time.Duration
}

// A Verifier verifies an issued token; see token.Verifier, which is one.
type Verifier interface {
	Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error)
}

// A SubjectChecker asks the caller's issuer whether a token is still good
// (RFC 7662). It is asked only where a server's refusal leaves open whether the
// caller's session or its right is gone.
type SubjectChecker interface {
	// Active tells whether the token of that issuer is good. An error means that
	// nobody knows.
	Active(ctx context.Context, issuer string, raw token.Raw) (bool, error)
}

// A Param is one more form field that a server wants.
type Param struct{ Name, Value string }

// Config is what one exchange block says.
type Config struct {
	// Leg is the first request, fed with the caller's token.
	Leg
	// Then are further requests, each fed with the token that the one before it
	// got. The last one's goes to the upstream.
	Then []Leg
	// Local says what GrantLocal mints. Required with it, and with it alone.
	Local *Local
	// State is shared with earlier and later configurations of the same exchange.
	State *State
	// SubjectIssuers are the issuers whose tokens may be sent to the server.
	// Default: the client's own. They mean nothing to GrantClientCredentials and
	// GrantLocal, which send none.
	SubjectIssuers []string
	// Anonymous serves callers without a token too. Only GrantClientCredentials and
	// GrantLocal can.
	Anonymous bool
	// MaxTTL is the longest that an issued token is used again. Default:
	// DefaultMaxTTL.
	MaxTTL time.Duration
	// Scheme comes before the token in the upstream's header, "" for none.
	Scheme string
	// Bind binds the upstream's token to a key of the gateway's. Default: it is a
	// bearer token.
	Bind Binding
	// Checker, if set, is asked about callers whose refusal is ambiguous.
	Checker SubjectChecker
	// Revoked tells whether a caller's token that was good is so no longer. It is asked
	// whenever a token was not at hand, since to get one takes time: before it is kept,
	// and before it is handed out. Default: none is.
	Revoked func(caller *token.Token) bool
	// Ancestry is what a caller's token says that it was derived from itself, for
	// whoever evicts; see Origin. Default: nothing.
	Ancestry func(caller *token.Token) []byte
	// Sharing says how nodes share what is issued. Default: each keeps its own.
	Sharing Sharing
	// Misconfigured is told, once until a request works again, that a server refuses the
	// gateway itself or what it asks for. It must return at once. Default: nobody is.
	Misconfigured func(*Error)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Observe, if set, is called when a request to the server begins. It may link
	// a span to the first caller's context and return another one for the call;
	// end is called when the call is over. The first caller may be gone by then.
	Observe func(caller, call context.Context) (observed context.Context, end func(error))
}

// legs returns every request in its order.
func (c Config) legs() []Leg { return append([]Leg{c.Leg}, c.Then...) }

// withDefaults returns the configuration with what it leaves open filled in.
func (c Config) withDefaults() Config {
	if c.MaxTTL <= 0 {
		c.MaxTTL = DefaultMaxTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Grant == GrantLocal {
		c.Local = c.Local.withDefaults()
		return c
	}
	c.Leg = c.Leg.withDefaults(len(c.Then) == 0, "")
	before := c.Leg
	c.Then = slices.Clone(c.Then)
	for i, next := range c.Then {
		c.Then[i] = next.withDefaults(i == len(c.Then)-1, before.RequestedType)
		before = c.Then[i]
	}
	if c.Bind.Prover != nil {
		bindLast(&c)
	}
	if len(c.SubjectIssuers) == 0 && c.Client.Issuer() != "" {
		c.SubjectIssuers = []string{c.Client.Issuer()}
	}
	return c
}

func (c Config) check() error {
	if c.State == nil {
		return errors.New("state is missing")
	}
	if c.Grant == GrantLocal || c.Local != nil {
		return c.checkLocal()
	}
	return c.checkRemote()
}

// checkRemote finds what no server could be asked.
func (c Config) checkRemote() error {
	if err := c.Bind.check(c.legs()); err != nil {
		return err
	}
	for i, leg := range c.legs() {
		if err := leg.check(); err != nil {
			if len(c.Then) > 0 {
				return fmt.Errorf("leg %d: %w", i+1, err)
			}
			return err
		}
		if i > 0 && !leg.grant().hasSubject() {
			return fmt.Errorf("leg %d: client_credentials takes no token, so nothing may come before it", i+1)
		}
	}
	if slices.Contains(c.SubjectIssuers, "") {
		return errors.New("an empty value in subject_issuer")
	}
	if c.Anonymous && c.grant() != GrantClientCredentials {
		return errors.New("anonymous needs grant client_credentials or local: a caller without a token has nothing to exchange")
	}
	if c.grant().hasSubject() && len(c.SubjectIssuers) == 0 && c.Client.Issuer() == "" {
		return errors.New("subject_issuer is missing: the client names an endpoint and no issuer, so nothing says whose tokens may be sent there")
	}
	return nil
}

// checkLocal finds what cannot be minted.
func (c Config) checkLocal() error {
	switch {
	case c.Grant != GrantLocal:
		return errors.New("local settings need grant local")
	case len(c.Then) > 0 || c.Client != nil || len(c.SubjectIssuers) > 0:
		return errors.New("grant local asks no server: it has no client, no subject_issuer and no further leg")
	}
	if err := c.Leg.checkRequest(); err != nil {
		return err
	}
	return c.Local.check(c.Leg)
}
