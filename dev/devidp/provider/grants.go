package provider

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// tokenAnswer is the answer of the token endpoint (RFC 6749, section 5.1; RFC
// 8693, section 2.2.1).
type tokenAnswer struct {
	AccessToken     string         `json:"access_token"`
	IssuedTokenType oidc.TokenType `json:"issued_token_type,omitempty"`
	TokenType       string         `json:"token_type"`
	ExpiresIn       int64          `json:"expires_in"`
	Scope           string         `json:"scope,omitempty"`
	IDToken         string         `json:"id_token,omitempty"`
}

func (s *server) issue(ctx context.Context, g grant) (*tokenAnswer, error) {
	token, lifetime, err := s.p.accessToken(ctx, g)
	if err != nil {
		return nil, op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
	}
	return &tokenAnswer{
		AccessToken: token, TokenType: oidc.BearerToken,
		ExpiresIn: int64(lifetime.Round(time.Second).Seconds()), Scope: strings.Join(g.scope, " "),
	}, nil
}

// ClientCredentialsExchange is the client_credentials grant (RFC 6749, section
// 4.4). A machine's sub is its client id.
func (s *server) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	client, err := s.p.client(r.Client)
	if err != nil {
		return nil, err
	}
	audience, err := client.audiences(r.Form)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(r.Form.Get("scope"))
	if len(scope) == 0 {
		scope = client.Scopes
	}
	if !within(scope, client.Scopes) {
		return nil, oidc.ErrInvalidScope().WithDescription("this client may not ask for that scope")
	}
	answer, err := s.issue(ctx, grant{subject: client.ID, clientID: client.ID, audience: audience, scope: scope})
	if err != nil {
		return nil, err
	}
	return op.NewResponse(answer), nil
}

// TokenExchange is RFC 8693: another token for the same subject, for another
// audience, with the same scope or less.
func (s *server) TokenExchange(ctx context.Context, r *op.ClientRequest[oidc.TokenExchangeRequest]) (*op.Response, error) {
	client, err := s.p.client(r.Client)
	if err != nil {
		return nil, err
	}
	if err := supported(r.Data); err != nil {
		return nil, err
	}
	subject, err := s.p.verify(r.Data.SubjectToken)
	if err != nil {
		return nil, oidc.ErrInvalidRequest().WithDescription("subject_token is not valid here")
	}
	if !client.mayExchange(subject) {
		return nil, oidc.ErrInvalidRequest().WithDescription("subject_token was not made for this client")
	}
	audience, err := client.audiences(r.Form)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(r.Form.Get("scope"))
	if len(scope) == 0 {
		scope = subject.scope
	}
	if !within(scope, subject.scope) {
		return nil, oidc.ErrInvalidScope().WithDescription("the subject token does not hold that scope")
	}
	answer, err := s.issue(ctx, grant{
		subject: subject.subject, clientID: client.ID, audience: audience, scope: scope, notAfter: subject.expiry,
	})
	if err != nil {
		return nil, err
	}
	answer.IssuedTokenType = oidc.AccessTokenType
	return op.NewResponse(answer), nil
}

// supported refuses what this provider would otherwise silently ignore: an
// actor token that is not looked at would be a false promise.
func supported(r *oidc.TokenExchangeRequest) error {
	switch {
	case r.ActorToken != "" || r.ActorTokenType != "":
		return oidc.ErrInvalidRequest().WithDescription("actor_token is not supported")
	case r.SubjectTokenType != oidc.AccessTokenType && r.SubjectTokenType != oidc.JWTTokenType:
		return oidc.ErrInvalidRequest().WithDescription("subject_token_type is not supported")
	case r.RequestedTokenType != "" && r.RequestedTokenType != oidc.AccessTokenType:
		return oidc.ErrInvalidRequest().WithDescription("requested_token_type is not supported")
	default:
		return nil
	}
}

// CodeExchange redeems an authorization code, once (RFC 6749, section 4.1.3; RFC
// 7636, section 4.6).
func (s *server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	done, ok := s.p.state.logins.redeem(r.Data.Code)
	if !ok || done.clientID != r.Client.GetID() {
		return nil, oidc.ErrInvalidGrant().WithDescription("the code is unknown, used, expired or another client's")
	}
	if r.Data.RedirectURI != done.redirectURI {
		return nil, oidc.ErrInvalidGrant().WithDescription("redirect_uri does not match the authorization request")
	}
	challenge := &oidc.CodeChallenge{Challenge: done.challenge, Method: oidc.CodeChallengeMethodS256}
	if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, challenge); err != nil {
		return nil, err
	}
	answer, err := s.issue(ctx, grant{
		subject: done.user, clientID: done.clientID, audience: done.audience, scope: done.scope,
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(done.scope, oidc.ScopeOpenID) {
		if answer.IDToken, err = s.p.idToken(done, answer.AccessToken); err != nil {
			return nil, op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
		}
	}
	return op.NewResponse(answer), nil
}

// idToken mints the ID token of a sign-in (OpenID Connect Core 1.0, section 2).
func (p *Provider) idToken(done login, accessToken string) (string, error) {
	claims := p.profile(done.user, done.scope)
	maps.Copy(claims, timestamps(p.settings.TokenLifetime))
	maps.Copy(claims, map[string]any{
		"iss": p.settings.Issuer, "aud": []string{done.clientID}, "azp": done.clientID,
		"auth_time": done.signedIn.Unix(), "at_hash": accessTokenHash(p.settings.Algorithm, accessToken),
	})
	if done.nonce != "" {
		claims["nonce"] = done.nonce
	}
	return p.sign("JWT", claims, Override{})
}

// profile is what the scopes let a client know of a user.
func (p *Provider) profile(name string, scope []string) map[string]any {
	user, claims := p.users[name], map[string]any{"sub": name}
	if slices.Contains(scope, oidc.ScopeEmail) && user.Email != "" {
		claims["email"], claims["email_verified"] = user.Email, true
	}
	if slices.Contains(scope, oidc.ScopeProfile) {
		claims["preferred_username"] = name
		if user.FullName != "" {
			claims["name"] = user.FullName
		}
	}
	return claims
}

// scopeOf splits a scope parameter (RFC 6749, section 3.3).
func scopeOf(text string) []string { return strings.Fields(text) }

func within(asked, held []string) bool {
	for _, scope := range asked {
		if !slices.Contains(held, scope) {
			return false
		}
	}
	return true
}

// accessTokenHash is at_hash: the left half of the access token's digest, by the
// digest of the signature algorithm (OpenID Connect Core 1.0, section 3.1.3.6).
func accessTokenHash(algorithm, token string) string {
	sum := sha256.Sum256([]byte(token))
	half := sum[:len(sum)/2]
	if algorithm == "EdDSA" { // Ed25519 digests with SHA-512
		long := sha512.Sum512([]byte(token))
		half = long[:len(long)/2]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}
