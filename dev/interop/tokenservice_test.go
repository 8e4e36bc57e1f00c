package interop_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

const caddyfile = `{
	gatehouse {
		issuer main $IDP {
			audience orders
		}
		sign {
			issuer $SITE
		}
	}
}
$SITE {
	token_service {
		endpoints jwks metadata token introspect
		client orders {
			auth secret_hash $HASH
			grants client_credentials token_exchange
			subject_issuer main
			subject_type access_token
			audience https://billing.example.com
			scope billing:read billing:write
			actor robot
		}
	}
	token_auth main
	respond in
}
`

func start(t *testing.T) (*harness.Gateway, *harness.AuthServer) {
	t.Helper()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$HASH", harness.ServiceHash())
	gateway.Await("/", idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	return gateway, idp
}

func httpClient() *http.Client { return &http.Client{Timeout: 30 * time.Second} }

// golang.org/x/oauth2 gets tokens in both of its styles, and sees refusals as what
// they are.
func TestOAuth2ClientCredentials(t *testing.T) {
	gateway, _ := start(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, httpClient())
	for name, style := range map[string]oauth2.AuthStyle{
		"header": oauth2.AuthStyleInHeader, "body": oauth2.AuthStyleInParams, "whichever works": oauth2.AuthStyleAutoDetect,
	} {
		t.Run(name, func(t *testing.T) {
			config := clientcredentials.Config{
				ClientID: "orders", ClientSecret: harness.ServiceSecret, TokenURL: gateway.URL + "/oauth2/token",
				Scopes: []string{"billing:read"}, AuthStyle: style, EndpointParams: url.Values{"audience": {"https://billing.example.com"}},
			}
			token, err := config.Token(ctx)
			if err != nil {
				t.Fatal(err)
			}
			claims := harness.Claims(t, token.AccessToken)
			if !token.Valid() || token.Type() != "Bearer" || claims["sub"] != "client:orders" || claims["scope"] != "billing:read" ||
				time.Until(token.Expiry) > 2*time.Minute || token.RefreshToken != "" {
				t.Errorf("%v: %v", token.Expiry, claims)
			}
		})
	}
	config := clientcredentials.Config{ClientID: "orders", ClientSecret: "wrong", TokenURL: gateway.URL + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}
	_, err := config.Token(ctx)
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong secret: %v", err)
	}
}

// Its client credentials do token exchange too, with another grant_type.
func TestOAuth2TokenExchange(t *testing.T) {
	gateway, idp := start(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, httpClient())
	config := clientcredentials.Config{
		ClientID: "orders", ClientSecret: harness.ServiceSecret, TokenURL: gateway.URL + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
		EndpointParams: url.Values{
			"grant_type": {harness.GrantTokenExchange}, "subject_token_type": {harness.TypeAccessToken},
			"subject_token": {idp.Token(map[string]any{"aud": "orders", "scope": "billing:read"})},
		},
	}
	token, err := config.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if claims := harness.Claims(t, token.AccessToken); claims["sub"] != "alice" || token.Extra("issued_token_type") != harness.TypeAccessToken {
		t.Errorf("%v, %v", claims, token.Extra("issued_token_type"))
	}
}

// zitadel's client knows nothing of this server but its address.
func TestZitadelTokenExchange(t *testing.T) {
	gateway, idp := start(t)
	exchanger, err := tokenexchange.NewTokenExchangerClientCredentials(t.Context(), gateway.URL, "orders", harness.ServiceSecret,
		tokenexchange.WithStaticTokenEndpoint(gateway.URL, gateway.URL+"/oauth2/token"), tokenexchange.WithHTTPClient(httpClient()))
	if err != nil {
		t.Fatal(err)
	}
	subject := idp.Token(map[string]any{"aud": "orders", "scope": "billing:read billing:write admin"})
	actor := idp.Token(map[string]any{"aud": "orders", "sub": "robot-7", "client_id": "robot"})
	for name, tt := range map[string]struct {
		actor, resource string
		want            any
	}{
		"as itself":     {"", "https://billing.example.com", "client:orders"},
		"as the robot":  {actor, "", "robot-7"},
		"as it may ask": {"", "", "client:orders"},
	} {
		t.Run(name, func(t *testing.T) {
			var resources []string
			var actorType oidc.TokenType
			if tt.resource != "" {
				resources = []string{tt.resource}
			}
			if tt.actor != "" {
				actorType = oidc.AccessTokenType
			}
			answer, err := tokenexchange.ExchangeToken(t.Context(), exchanger, subject, oidc.AccessTokenType, tt.actor, actorType,
				resources, nil, []string{"billing:read", "admin"}, oidc.AccessTokenType)
			if err != nil {
				t.Fatal(err)
			}
			claims := harness.Claims(t, answer.AccessToken)
			act, _ := claims["act"].(map[string]any)
			if claims["sub"] != "alice" || act["sub"] != tt.want || answer.Scopes.String() != "billing:read" ||
				answer.IssuedTokenType != oidc.AccessTokenType || answer.TokenType != "Bearer" || answer.RefreshToken != "" {
				t.Errorf("%v: %v", answer, claims)
			}
		})
	}
	_, err = tokenexchange.ExchangeToken(t.Context(), exchanger, subject, oidc.AccessTokenType, "", "",
		nil, []string{"https://other.example.com"}, nil, "")
	var refused *oidc.Error
	if !errors.As(err, &refused) || refused.ErrorType != "invalid_target" {
		t.Errorf("another target: %v", err)
	}
}
