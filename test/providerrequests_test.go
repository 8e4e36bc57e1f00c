package test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const (
	typeOf     = "urn:ietf:params:oauth:token-type:"
	exchangeBy = "urn:ietf:params:oauth:grant-type:token-exchange"
	bearerBy   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// A provided request is what an example makes of a caller's token: exactly what
// the provider needs, and nothing that it refuses.
type provided struct {
	provider, path string
	// caller are the claims of the caller's token.
	caller map[string]any
	// want is the whole form; $TOKEN is the caller's token.
	want url.Values
	// wrong are changes that the real provider refuses, so its imitation must; ""
	// removes a field.
	wrong map[string]string
}

var post = url.Values{"client_id": {harness.ClientID}, "client_secret": {harness.ClientSecret}}

func exchangeForm(more ...url.Values) url.Values {
	form := url.Values{"grant_type": {exchangeBy}, "subject_token": {"$TOKEN"}, "subject_token_type": {typeOf + "access_token"}}
	for _, fields := range more {
		maps.Copy(form, fields)
	}
	return form
}

var providedRequests = []provided{
	{
		"keycloak", "/orders/1",
		map[string]any{"aud": []string{"https://api.example.com", "gateway"}, "scope": "orders:read"},
		exchangeForm(url.Values{"audience": {"orders"}, "scope": {"orders:read"}}),
		map[string]string{
			"subject_token_type": typeOf + "jwt", "requested_token_type": typeOf + "jwt", "audience": "stock", "subject_issuer": "x",
		},
	},
	{
		"entra", "/orders/1",
		map[string]any{"aud": "api://gateway", "scp": "Orders.Use", "scope": nil},
		url.Values{
			"grant_type": {bearerBy}, "assertion": {"$TOKEN"}, "scope": {"api://orders/.default"}, "requested_token_use": {"on_behalf_of"},
			"client_id": post["client_id"], "client_secret": post["client_secret"],
		},
		map[string]string{"requested_token_use": "", "scope": "", "audience": "x", "resource": "x", "subject_token": "x", "grant_type": exchangeBy},
	},
	{
		"okta", "/orders/1",
		map[string]any{"scope": "orders:read orders:write openid"},
		exchangeForm(url.Values{"audience": {"api://orders"}, "scope": {"orders:read orders:write"}}),
		map[string]string{"audience": "orders", "scope": "openid", "resource": "https://x", "subject_token_type": typeOf + "jwt"},
	},
	{
		"auth0", "/orders/1",
		map[string]any{"scope": "orders:read"},
		exchangeForm(post, url.Values{"audience": {"https://orders.example.com"}, "scope": {"orders:read"}}),
		map[string]string{"audience": "", "subject_token_type": typeOf + "jwt", "resource": "https://x"},
	},
	{
		"auth0", "/billing/1",
		map[string]any{"scope": "orders:read"},
		exchangeForm(post, url.Values{
			"audience": {"https://billing.example.com"}, "scope": {"orders:read"},
			"subject_token_type": {"https://api.example.com/token"}, "organization": {"org_example"},
		}),
		map[string]string{"requested_token_type": typeOf + "access_token", "subject_token_type": "urn:auth0:x", "audience": ""},
	},
	{
		"zitadel", "/orders/1",
		map[string]any{"scope": "orders:read"},
		exchangeForm(url.Values{"audience": {"orders"}, "scope": {"orders:read"}, "requested_token_type": {typeOf + "jwt"}}),
		map[string]string{"requested_token_type": "", "subject_token_type": typeOf + "refresh_token", "resource": "https://x"},
	},
	{
		"dex", "/orders/1",
		map[string]any{"scope": "orders:read"},
		exchangeForm(url.Values{"connector_id": {"corp"}, "scope": {"groups openid"}}),
		map[string]string{"connector_id": "", "audience": "x", "resource": "https://x", "actor_token": "x", "scope": ""},
	},
	{
		"google", "/orders/1",
		map[string]any{"scope": "orders:read"},
		exchangeForm(url.Values{
			"client_id": {harness.ClientID}, "subject_token_type": {typeOf + "jwt"}, "requested_token_type": {typeOf + "access_token"},
			"audience": {"//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/callers/providers/main"},
			"scope":    {"https://www.googleapis.com/auth/devstorage.read_only"},
		}),
		map[string]string{
			"requested_token_type": "", "scope": "", "subject_token_type": typeOf + "access_token", "client_secret": "x",
			"resource": "https://x", "audience": "https://iam.googleapis.com/projects/123456",
		},
	},
}

// actProvider sends the requests of an example to an imitation of the provider and
// compares what it got, field by field.
func actProvider(name string) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		t.Helper()
		server := s.idp
		switch name {
		case "dex":
			server = s.other // callers are of the provider behind it
		case "google":
			server = s.other
			server.Authenticate(harness.ByNobody)
		}
		server.BeLike(name)
		for i, request := range providedRequests {
			if request.provider != name {
				continue
			}
			claims := maps.Clone(request.caller)
			claims["jti"] = fmt.Sprint(i)
			token := s.idp.Token(claims)
			before := len(server.Forms())
			s.Await(request.path, token, http.StatusOK)
			want := maps.Clone(request.want)
			for field, values := range want {
				if values[0] == "$TOKEN" {
					want[field] = []string{token}
				}
			}
			if diff := cmp.Diff([]url.Values{want}, server.Forms()[before:]); diff != "" {
				t.Errorf("%s: the requests (-want +got):\n%s", request.path, diff)
			}
			if got := s.upstream.Last(t); got.Bearer() == "" || got.Holds(token) {
				t.Errorf("%s: the upstream got %v", request.path, got.Header)
			}
		}
	}
}

// The imitations refuse what the real ones refuse; else the examples would prove
// nothing.
func TestProvidersAreStrict(t *testing.T) {
	for _, request := range providedRequests {
		refuse := harness.Providers[request.provider].Refuse
		caller := maps.Clone(request.caller)
		if list, ok := caller["aud"].([]string); ok {
			caller["aud"] = []any{list[0], list[1]}
		}
		if status, code := refuse(request.want, caller); status != 0 {
			t.Errorf("%s%s refuses its own request: %d %s", request.provider, request.path, status, code)
		}
		for field, value := range request.wrong {
			form := maps.Clone(request.want)
			form.Set(field, value)
			if value == "" {
				form.Del(field)
			}
			if status, _ := refuse(form, caller); status == 0 {
				t.Errorf("%s%s takes %s=%q", request.provider, request.path, field, value)
			}
		}
	}
}
