package test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A shape is a token as a provider writes it: header and claims, all of them.
type shape struct{ header, claims map[string]any }

// dated adds the dates of a token that was made a moment ago.
func dated(claims map[string]any) map[string]any {
	now := time.Now().Unix()
	all := map[string]any{"iat": now - 5, "exp": now + 3600}
	maps.Copy(all, claims)
	return all
}

func (s shape) with(changes map[string]any) shape {
	claims := maps.Clone(s.claims)
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return shape{s.header, claims}
}

// provider signs tokens with an RSA key and without more header members than it
// is told, as these providers do.
func (s *stage) provider(t *testing.T) (sign func(shape) string) {
	t.Helper()
	key := tokentest.NewKey(t, "RS256", "provider-key-1")
	s.idp.Rotate(key)
	return func(token shape) string {
		header := map[string]any{"alg": "RS256", "kid": key.ID}
		maps.Copy(header, token.header)
		return key.SignRaw(tokentest.JSON(header), tokentest.JSON(token.claims))
	}
}

// passes awaits that the token opens the door, and what the upstream then hears.
func (s *stage) passes(t *testing.T, token string) {
	t.Helper()
	s.Await("/orders/1", token, http.StatusOK)
	if s.upstream.Last(t).Holds(token) {
		t.Error("the upstream got the caller's token")
	}
}

func (s *stage) refuses(t *testing.T, status int, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { s.Get("/orders/1", token).Expect(t, status) })
	}
}

func actKeycloak(t *testing.T, s *stage) {
	t.Helper()
	sign := s.provider(t)
	access := shape{map[string]any{"typ": "JWT"}, dated(map[string]any{
		"jti": "onrtro:8bd7d61c", "iss": s.idp.URL, "aud": []string{"orders-api", "account"}, "sub": "f8a2c1d0-6d3e", "typ": "Bearer",
		"azp": "web", "sid": "b2a7", "acr": "1", "allowed-origins": []string{"https://www.example.com"},
		"realm_access":    map[string]any{"roles": []string{"offline_access", "default-roles-main"}},
		"resource_access": map[string]any{"orders-api": map[string]any{"roles": []string{"reader"}}, "account": map[string]any{"roles": []string{"view-profile"}}},
		"scope":           "profile email", "email_verified": true, "preferred_username": "alice",
	})}
	s.passes(t, sign(access))
	id := access.with(map[string]any{"typ": "ID", "at_hash": "x", "scope": nil, "aud": "orders-api"})
	s.refuses(t, http.StatusUnauthorized, map[string]string{
		"ID token": sign(id), "ID token without at_hash": sign(id.with(map[string]any{"at_hash": nil})),
		"refresh token":   sign(access.with(map[string]any{"typ": "Refresh"})),
		"offline token":   sign(access.with(map[string]any{"typ": "Offline"})),
		"only of account": sign(access.with(map[string]any{"aud": "account"})),
		"another realm":   sign(access.with(map[string]any{"iss": s.idp.URL + "/realms/other"})),
	})
	s.refuses(t, http.StatusForbidden, map[string]string{
		"the role elsewhere": sign(access.with(map[string]any{"resource_access": map[string]any{"account": map[string]any{"roles": []string{"reader"}}}})),
	})
}

func actEntra(t *testing.T, s *stage) {
	t.Helper()
	sign := s.provider(t)
	access := shape{map[string]any{"typ": "JWT"}, dated(map[string]any{
		"aud": "33333333-3333-3333-3333-333333333333", "iss": s.idp.URL, "aio": "AXQAi/8TAAAA", "azp": "44444444-4444",
		"azpacr": "1", "name": "Alice", "oid": "00000000-0000-0000-66f3-3332eca7ea81", "preferred_username": "alice@example.com",
		"rh": "0.AX0A", "roles": []string{"Orders.Clerk"}, "scp": "Orders.Read Orders.Write", "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
		"tid": "11111111-1111-1111-1111-111111111111", "uti": "fqiBqXLPj0eQ", "ver": "2.0", "nbf": time.Now().Unix() - 5,
	})}
	s.passes(t, sign(access))
	tenant2 := tokentest.NewKey(t, "RS256", "tenant-2")
	s.other.Rotate(tenant2)
	header := tokentest.JSON(map[string]any{"alg": "RS256", "kid": "tenant-2", "typ": "JWT"})
	second := access.with(map[string]any{"iss": s.other.URL, "tid": "22222222-2222-2222-2222-222222222222"})
	s.passes(t, tenant2.SignRaw(header, tokentest.JSON(second.claims)))
	id := access.with(map[string]any{"scp": nil, "azp": nil, "azpacr": nil})
	s.refuses(t, http.StatusUnauthorized, map[string]string{
		"ID token of the same client id":  sign(id),
		"ID token with nonce":             sign(id.with(map[string]any{"nonce": "n", "scp": "Orders.Read"})),
		"of a daemon":                     sign(access.with(map[string]any{"scp": nil})),
		"version 1":                       sign(access.with(map[string]any{"ver": "1.0", "iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/"})),
		"one tenant in another's name":    sign(second),
		"another in the name of this one": tenant2.SignRaw(header, tokentest.JSON(access.claims)),
		"for Graph":                       sign(access.with(map[string]any{"aud": "00000003-0000-0000-c000-000000000000"})),
	})
	s.refuses(t, http.StatusForbidden, map[string]string{"another scope": sign(access.with(map[string]any{"scp": "Orders.Write"}))})
}

func actAuth0(t *testing.T, s *stage) {
	t.Helper()
	sign := s.provider(t)
	access := shape{map[string]any{"typ": "JWT"}, dated(map[string]any{
		"iss": s.idp.URL, "sub": "auth0|65f1", "aud": []string{"https://api.example.com", "https://tenant.eu.auth0.com/userinfo"},
		"scope": "openid profile orders:read", "azp": "Jf9sQ2", "permissions": []string{"orders:read"},
		"https://api.example.com/roles": []string{"clerk"},
	})}
	s.passes(t, sign(access))
	machine := access.with(map[string]any{"sub": "Jf9sQ2@clients", "aud": "https://api.example.com", "gty": "client-credentials", "scope": "orders:read"})
	s.passes(t, sign(machine))
	s.passes(t, sign(shape{map[string]any{"typ": "at+jwt"}, machine.with(map[string]any{"client_id": "Jf9sQ2", "jti": "j", "azp": nil}).claims}))
	id := access.with(map[string]any{"aud": "Jf9sQ2", "nonce": "n", "sid": "s", "scope": nil, "permissions": nil, "azp": nil})
	s.refuses(t, http.StatusUnauthorized, map[string]string{
		"ID token":                   sign(id),
		"ID token for the API":       sign(id.with(map[string]any{"aud": "https://api.example.com"})),
		"only for userinfo":          sign(access.with(map[string]any{"aud": "https://tenant.eu.auth0.com/userinfo"})),
		"signed as HS256":            tokentest.HS256([]byte("0123456789abcdef0123456789abcdef"), map[string]any{"alg": "HS256", "typ": "JWT"}, access.claims),
		"permissions of other types": sign(access.with(map[string]any{"https://api.example.com/roles": map[string]any{"clerk": true}})),
	})
	s.refuses(t, http.StatusForbidden, map[string]string{"no permission": sign(access.with(map[string]any{"permissions": []string{}}))})
}

func actOkta(t *testing.T, s *stage) {
	t.Helper()
	sign := s.provider(t)
	access := shape{nil, dated(map[string]any{
		"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": s.idp.URL, "aud": "api://orders",
		"cid": "0oab8eb55Kb9jdMIr5d6", "uid": "00uc1f", "scp": []string{"openid", "orders:read"}, "auth_time": time.Now().Unix() - 60,
		"sub": "alice@example.com", "groups": []string{"Everyone", "Clerks"},
	})}
	s.passes(t, sign(access))
	s.passes(t, sign(access.with(map[string]any{"uid": nil, "auth_time": nil, "sub": "0oab8eb55Kb9jdMIr5d6", "scp": []string{"orders:read"}})))
	id := access.with(map[string]any{"aud": "0oab8eb55Kb9jdMIr5d6", "jti": "ID.x", "amr": []string{"pwd"}, "idp": "00o5", "at_hash": "h", "scp": nil, "cid": nil, "uid": nil})
	s.refuses(t, http.StatusUnauthorized, map[string]string{
		"ID token":               sign(id),
		"ID token for the API":   sign(id.with(map[string]any{"aud": "api://orders"})),
		"of the org server":      sign(access.with(map[string]any{"iss": "https://example.okta.com", "aud": "https://example.okta.com"})),
		"scp of another type":    sign(access.with(map[string]any{"scp": map[string]any{"orders:read": true}})),
		"scp with other members": sign(access.with(map[string]any{"scp": []any{"orders:read", 1}})),
	})
	// scope is not where this provider puts scopes, so nobody gets any by it.
	s.refuses(t, http.StatusForbidden, map[string]string{"scope for scp": sign(access.with(map[string]any{"scp": nil, "scope": "orders:read"}))})
}

func actCognito(t *testing.T, s *stage) {
	t.Helper()
	sign := s.provider(t)
	access := shape{nil, dated(map[string]any{
		"sub": "73f4a8b2-1d5f", "cognito:groups": []string{"clerks"}, "iss": s.idp.URL, "version": 2, "client_id": "4example5client6id",
		"origin_jti": "aaaa", "event_id": "bbbb", "token_use": "access", "scope": "openid orders/read", "auth_time": time.Now().Unix() - 60,
		"jti": "cccc", "username": "alice",
	})}
	s.passes(t, sign(access))
	id := access.with(map[string]any{
		"aud": "4example5client6id", "token_use": "id", "cognito:username": "alice", "email": "alice@example.com",
		"client_id": nil, "scope": nil, "version": nil, "username": nil,
	})
	s.refuses(t, http.StatusUnauthorized, map[string]string{
		"ID token":                         sign(id),
		"ID token after a hosted login":    sign(id.with(map[string]any{"at_hash": "h"})),
		"ID token that names a client":     sign(id.with(map[string]any{"client_id": "4example5client6id", "scope": "orders/read"})),
		"ID token that hides what it is":   sign(id.with(map[string]any{"token_use": nil})),
		"access token that says no client": sign(access.with(map[string]any{"client_id": nil})),
		"another pool":                     sign(access.with(map[string]any{"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Other"})),
	})
	s.refuses(t, http.StatusForbidden, map[string]string{
		"another client of the pool": sign(access.with(map[string]any{"client_id": "other"})),
		"another use":                sign(access.with(map[string]any{"token_use": "other"})),
		"another scope":              sign(access.with(map[string]any{"scope": "aws.cognito.signin.user.admin"})),
	})
}
