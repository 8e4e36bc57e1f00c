package provider

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Introspect is RFC 7662. Any confidential client may ask about any token: a
// resource server asks about tokens that others got.
func (s *server) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	client, err := s.VerifyClient(ctx, &op.Request[op.ClientCredentials]{Data: r.Data.ClientCredentials})
	if err != nil {
		return nil, err
	}
	if client.AuthMethod() == oidc.AuthMethodNone {
		return nil, errClient()
	}
	token, live := s.p.live(r.Data.Token)
	if !live {
		// Section 2.2: not why. A caller must learn nothing about foreign tokens.
		return op.NewResponse(map[string]any{"active": false}), nil
	}
	answer := maps.Clone(token.claims)
	answer["active"], answer["token_type"] = true, oidc.BearerToken
	if _, isUser := s.p.users[token.subject]; isUser {
		answer["username"] = token.subject
	}
	return op.NewResponse(answer), nil
}

// UserInfo is OpenID Connect Core 1.0, section 5.3.
func (s *server) UserInfo(_ context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	token, live := s.p.live(r.Data.AccessToken)
	if !live {
		return nil, op.NewStatusError(&oidc.Error{ErrorType: "invalid_token"}, http.StatusUnauthorized)
	}
	if !slices.Contains(token.scope, oidc.ScopeOpenID) {
		return nil, op.NewStatusError(&oidc.Error{ErrorType: "insufficient_scope"}, http.StatusForbidden)
	}
	return op.NewResponse(s.p.profile(token.subject, token.scope)), nil
}

// Revocation is RFC 7009. A token that is not valid is no error (section 2.2),
// but another client's is (section 2.1).
func (s *server) Revocation(_ context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	token, live := s.p.live(r.Data.Token)
	if !live {
		return op.NewResponse(nil), nil
	}
	if token.clientID != r.Client.GetID() {
		return nil, oidc.ErrUnauthorizedClient().WithDescription("the token was issued to another client")
	}
	s.p.state.revoked.add(token.id, token.expiry)
	return op.NewResponse(nil), nil
}
