package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
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

// A Param is one more form field that a server wants.
type Param struct{ Name, Value string }

// Config is what one exchange block says.
type Config struct {
	// Client asks the server.
	Client Requester
	// State is shared with earlier and later configurations of the same exchange.
	State *State
	// SubjectIssuers are the issuers whose tokens may be sent to the server.
	// Default: the client's own.
	SubjectIssuers []string
	// SubjectType is the URI of what the caller's token is. Default:
	// TypeAccessToken.
	SubjectType string
	// Audience and Resource name the upstream (RFC 8693, section 2.1; RFC 8707).
	Audience, Resource []string
	// Scope is a ceiling: asked for is what of it the caller holds. Default:
	// nothing is asked, and what is granted must lie within what the caller holds.
	Scope []string
	// RequestedType is the URI of the type asked for. Default: none, which leaves
	// it to the server.
	RequestedType string
	// Params are further form fields.
	Params []Param
	// MaxTTL is the longest that an issued token is used again. Default:
	// DefaultMaxTTL.
	MaxTTL time.Duration
	// AcceptIssued are the issued_token_type values to accept. Default: the
	// requested type, else an access token or a JWT.
	AcceptIssued []string
	// Scheme comes before the token in the upstream's header, "" for none.
	Scheme string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Observe, if set, is called when a request to the server begins. It may link
	// a span to the first caller's context and return another one for the call;
	// end is called when the call is over. The first caller may be gone by then.
	Observe func(caller, call context.Context) (observed context.Context, end func(error))
}

// reservedParams are the form fields that the exchange itself writes.
var reservedParams = []string{
	"grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"audience", "resource", "scope", "requested_token_type",
	"client_id", "client_secret", "client_assertion", "client_assertion_type",
}

// ReservedParam tells whether a form field is one that the exchange itself
// writes, so that no Param may have its name.
func ReservedParam(name string) bool { return slices.Contains(reservedParams, name) }

// withDefaults returns the configuration with what it leaves open filled in.
func (c Config) withDefaults() Config {
	if len(c.SubjectIssuers) == 0 && c.Client.Issuer() != "" {
		c.SubjectIssuers = []string{c.Client.Issuer()}
	}
	if c.SubjectType == "" {
		c.SubjectType = TypeAccessToken
	}
	if c.MaxTTL <= 0 {
		c.MaxTTL = DefaultMaxTTL
	}
	if len(c.AcceptIssued) == 0 {
		c.AcceptIssued = []string{TypeAccessToken, TypeJWT}
		if c.RequestedType != "" {
			c.AcceptIssued = []string{c.RequestedType}
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Client == nil:
		return errors.New("client is missing")
	case c.State == nil:
		return errors.New("state is missing")
	case len(c.SubjectIssuers) == 0 && c.Client.Issuer() == "":
		return errors.New("subject_issuer is missing: the client names an endpoint and no issuer, so nothing says whose tokens may be sent there")
	}
	for _, list := range [][]string{c.SubjectIssuers, c.Audience, c.AcceptIssued} {
		if slices.Contains(list, "") {
			return errors.New("an empty value in subject_issuer, audience or issued_type")
		}
	}
	for _, resource := range c.Resource {
		if !absoluteURI(resource) {
			return fmt.Errorf("resource %q is not an absolute URI without a fragment (RFC 8693, section 2.1)", resource)
		}
	}
	for _, scope := range c.Scope {
		if !validScope(scope) {
			return fmt.Errorf("scope %q holds a character that scopes do not have (RFC 6749, section 3.3)", scope)
		}
	}
	for _, param := range c.Params {
		if param.Name == "" || ReservedParam(param.Name) {
			return fmt.Errorf("param %q is a field that the exchange writes itself", param.Name)
		}
	}
	return nil
}

// validScope tells whether a text is a scope-token of RFC 6749, section 3.3.
func validScope(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}
