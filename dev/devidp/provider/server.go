package provider

import (
	"context"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// server is what op calls once a request is routed, parsed and its client known.
// Each method is one endpoint or one grant.
type server struct {
	op.UnimplementedServer
	p *Provider
}

// metadata adds RFC 9207's flag, which op does not know.
type metadata struct {
	*oidc.DiscoveryConfiguration
	IssParameter bool `json:"authorization_response_iss_parameter_supported"`
}

// Discovery answers OpenID Connect Discovery 1.0, section 4, and RFC 8414.
func (s *server) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	issuer := s.p.settings.Issuer
	secret := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	return op.NewResponse(metadata{IssParameter: true, DiscoveryConfiguration: &oidc.DiscoveryConfiguration{
		Issuer:                                    issuer,
		AuthorizationEndpoint:                     issuer + pathAuthorize,
		TokenEndpoint:                             issuer + pathToken,
		IntrospectionEndpoint:                     issuer + pathIntrospect,
		UserinfoEndpoint:                          issuer + pathUserinfo,
		RevocationEndpoint:                        issuer + pathRevoke,
		JwksURI:                                   issuer + pathJWKS,
		ScopesSupported:                           s.p.scopes(),
		ResponseTypesSupported:                    []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:                    []string{"query"},
		GrantTypesSupported:                       []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeClientCredentials, oidc.GrantTypeTokenExchange},
		SubjectTypesSupported:                     []string{"public"},
		IDTokenSigningAlgValuesSupported:          []string{s.p.settings.Algorithm},
		TokenEndpointAuthMethodsSupported:         append(secret, oidc.AuthMethodNone),
		IntrospectionEndpointAuthMethodsSupported: secret,
		RevocationEndpointAuthMethodsSupported:    append(secret, oidc.AuthMethodNone),
		CodeChallengeMethodsSupported:             []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		ClaimsSupported:                           []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "email"},
	}}), nil
}

// Keys answers with the JWK Set.
func (s *server) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	set, err := s.p.state.keys.publicSet()
	if err != nil {
		return nil, op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
	}
	return op.NewResponse(set), nil
}

// VerifyClient authenticates a client by its secret; a public one by name only.
func (s *server) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	client, ok := s.p.clients[r.Data.ClientID]
	if !ok || r.Data.ClientAssertion != "" || !sameText(r.Data.ClientSecret, client.Secret) {
		return nil, errClient()
	}
	return client, nil
}

// errClient says as little as RFC 6749, section 5.2, allows: not whether the
// client exists.
func errClient() error {
	return op.NewStatusError(
		oidc.ErrInvalidClient().WithDescription("client authentication failed"), http.StatusUnauthorized)
}

// VerifyAuthRequest finds the client of an authorization request.
func (s *server) VerifyAuthRequest(_ context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	client, ok := s.p.clients[r.Data.ClientID]
	if !ok {
		return nil, oidc.ErrInvalidRequest().WithDescription("unknown client_id")
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: client}, nil
}

// Authorize remembers a checked authorization request and sends the browser to
// the login page. op has checked redirect URI, response type and scopes.
func (s *server) Authorize(_ context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	request := r.Data
	switch {
	case request.RequestParam != "":
		return nil, oidc.ErrRequestNotSupported()
	// RFC 9700, section 2.1.1: PKCE for everyone, and never plain.
	case request.CodeChallenge == "" || request.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, oidc.ErrInvalidRequest().WithDescription("code_challenge with method S256 is required")
	case request.ResponseMode != "" && request.ResponseMode != oidc.ResponseModeQuery:
		return nil, oidc.ErrInvalidRequest().WithDescription("response_mode is not supported")
	case slices.Contains(request.Prompt, oidc.PromptNone): // there are no sessions, so nobody is signed in
		return nil, oidc.ErrLoginRequired()
	}
	client, err := s.p.client(r.Client)
	if err != nil {
		return nil, err
	}
	audience, err := client.audiences(r.Form)
	if err != nil {
		return nil, err
	}
	id := s.p.state.logins.open(login{
		clientID: client.ID, redirectURI: request.RedirectURI, state: request.State, nonce: request.Nonce,
		challenge: request.CodeChallenge, scope: withoutOffline(request.Scopes), audience: audience,
	})
	return op.NewRedirect(client.LoginURL(id)), nil
}

// withoutOffline drops offline_access: there are no refresh tokens here, and a
// granted scope must not promise one.
func withoutOffline(scopes []string) []string {
	kept := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		if scope != oidc.ScopeOfflineAccess {
			kept = append(kept, scope)
		}
	}
	return kept
}

// client is our own view of the client op hands back to us.
func (p *Provider) client(c op.Client) (*registered, error) {
	own, ok := c.(*registered)
	if !ok {
		return nil, errClient()
	}
	return own, nil
}

// scopes lists all scopes that any client may ask for.
func (p *Provider) scopes() []string {
	all := []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}
	seen := map[string]bool{oidc.ScopeOpenID: true, oidc.ScopeProfile: true, oidc.ScopeEmail: true}
	for _, client := range p.settings.Clients {
		for _, scope := range client.Scopes {
			if !seen[scope] {
				seen[scope] = true
				all = append(all, scope)
			}
		}
	}
	return all
}

var _ op.Server = (*server)(nil)
