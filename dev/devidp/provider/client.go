package provider

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Grant names of Client.Grants.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantClientCredentials = "client_credentials"
	GrantTokenExchange     = "token_exchange"
)

// ExchangeFromAny in Client.ExchangeFrom lets a client exchange any token of
// this provider.
const ExchangeFromAny = "any"

// grantTypes maps our short grant names to the wire's.
var grantTypes = map[string]oidc.GrantType{
	GrantAuthorizationCode: oidc.GrantTypeCode,
	GrantClientCredentials: oidc.GrantTypeClientCredentials,
	GrantTokenExchange:     oidc.GrantTypeTokenExchange,
}

// Client is an application that asks for tokens.
type Client struct {
	// ID is the client_id, and the sub claim of its own tokens.
	ID string `json:"id"`
	// Secret authenticates the client (client_secret_basic and _post). A
	// client without one is public: code flow only.
	Secret string `json:"secret,omitempty"`
	// Redirects are the exact redirect URIs of the code flow, all loopback.
	Redirects []string `json:"redirects,omitempty"`
	// Grants are those the client may use; everything else is refused.
	Grants []string `json:"grants,omitempty"`
	// Scopes may be asked for by client_credentials and in the code flow.
	Scopes []string `json:"scopes,omitempty"`
	// Audience is the aud claim where a request names none. Default: the ID.
	Audience []string `json:"audience,omitempty"`
	// Targets may be named by a request's audience or resource parameter,
	// besides Audience. Anything else is invalid_target.
	Targets []string `json:"targets,omitempty"`
	// ExchangeFrom are the audiences this client may exchange tokens of,
	// besides tokens made for or issued to itself; "any" means every token.
	ExchangeFrom []string `json:"exchange_from,omitempty"`
}

func (c Client) validate() error {
	if c.ID == "" {
		return errors.New("an id is required")
	}
	for _, g := range c.Grants {
		if _, ok := grantTypes[g]; !ok {
			return fmt.Errorf("grant %q is not known; use authorization_code, client_credentials or token_exchange", g)
		}
		// RFC 6749, section 4.4: client credentials are for confidential
		// clients only; RFC 8693, section 2.1, says why exchange is too.
		if c.Secret == "" && g != GrantAuthorizationCode {
			return fmt.Errorf("grant %s needs a client with a secret", g)
		}
		if g == GrantAuthorizationCode && len(c.Redirects) == 0 {
			return errors.New("grant authorization_code needs a redirect")
		}
	}
	for _, r := range c.Redirects {
		u, err := url.Parse(r)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || !IsLoopbackName(u.Host) || u.Fragment != "" {
			return fmt.Errorf("redirect %q is not an http or https URL on a loopback host", r)
		}
	}
	return nil
}

// audiences returns the aud of a token for this client: what the request named
// (RFC 8693 audience, RFC 8707 resource), or the client's default.
func (c Client) audiences(form url.Values) ([]string, error) {
	asked := slices.Concat(form["audience"], form["resource"])
	asked = slices.DeleteFunc(asked, func(a string) bool { return a == "" })
	if len(asked) == 0 {
		return c.defaultAudience(), nil
	}
	for _, a := range asked {
		if !slices.Contains(c.Targets, a) && !slices.Contains(c.Audience, a) {
			return nil, oidc.ErrInvalidTarget()
		}
	}
	return asked, nil
}

func (c Client) defaultAudience() []string {
	if len(c.Audience) > 0 {
		return c.Audience
	}
	return []string{c.ID}
}

// mayExchange reports whether the client may exchange a token: its own, one
// made for it, or one made for an audience it speaks for. Without this rule any
// client could turn any stolen token into a better one.
func (c Client) mayExchange(subject *accessToken) bool {
	if subject.clientID == c.ID || slices.Contains(subject.audience, c.ID) {
		return true
	}
	for _, from := range c.ExchangeFrom {
		if from == ExchangeFromAny || slices.Contains(subject.audience, from) {
			return true
		}
	}
	return false
}

// registered is a Client as op wants to see it.
type registered struct {
	Client
	issuer   string
	lifetime time.Duration
}

func (r *registered) GetID() string                        { return r.ID }
func (r *registered) RedirectURIs() []string               { return r.Redirects }
func (r *registered) PostLogoutRedirectURIs() []string     { return nil }
func (r *registered) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (r *registered) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (r *registered) IDTokenLifetime() time.Duration       { return r.lifetime }
func (r *registered) DevMode() bool                        { return true }
func (r *registered) IDTokenUserinfoClaimsAssertion() bool { return false }
func (r *registered) ClockSkew() time.Duration             { return 0 }
func (r *registered) IsScopeAllowed(scope string) bool     { return slices.Contains(r.Scopes, scope) }

func (r *registered) LoginURL(id string) string {
	return r.issuer + pathLogin + "?id=" + url.QueryEscape(id)
}

//nolint:revive // op.Client spells it so
func (r *registered) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

func (r *registered) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

func (r *registered) AuthMethod() oidc.AuthMethod {
	if r.Secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (r *registered) ResponseTypes() []oidc.ResponseType {
	if slices.Contains(r.Grants, GrantAuthorizationCode) {
		return []oidc.ResponseType{oidc.ResponseTypeCode}
	}
	return nil
}

func (r *registered) GrantTypes() []oidc.GrantType {
	types := make([]oidc.GrantType, 0, len(r.Grants))
	for _, g := range r.Grants {
		types = append(types, grantTypes[g])
	}
	return types
}

var _ op.Client = (*registered)(nil)
