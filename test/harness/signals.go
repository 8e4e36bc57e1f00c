package harness

import (
	"crypto/rand"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// Stream is the audience of the stream of signals in tests.
const Stream = "https://gateway.example.com/signals"

// Events of logout tokens and Security Event Tokens.
const (
	EventLogout         = "http://schemas.openid.net/event/backchannel-logout"
	EventSessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	EventVerification   = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// Transmits makes the server a transmitter of signals with a key of its own, and
// returns that.
func (s *AuthServer) Transmits(tb testing.TB) *tokentest.Key {
	tb.Helper()
	key := tokentest.NewKey(tb, "ES256", "ssf-1")
	s.Handle("/.well-known/ssf-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tokentest.JSON(map[string]any{"spec_version": "1_0", "issuer": s.URL, "jwks_uri": s.URL + "/ssf-jwks"}))
	})
	s.Handle("/ssf-jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tokentest.Set(key)) })
	return key
}

// LogoutClaims are those of a good logout token, with changes; a nil value leaves a
// claim out.
func (s *AuthServer) LogoutClaims(changes map[string]any) map[string]any {
	now := time.Now()
	return changed(map[string]any{
		"iss": s.URL, "sub": "alice", "aud": ClientID, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{EventLogout: map[string]any{}},
	}, changes)
}

// LogoutToken signs a good logout token with changes.
func (s *AuthServer) LogoutToken(changes map[string]any) string {
	return s.Key.Sign(map[string]any{"typ": "logout+jwt"}, s.LogoutClaims(changes))
}

// SETClaims are those of a good Security Event Token, with changes; a nil value leaves
// a claim out.
func (s *AuthServer) SETClaims(changes map[string]any) map[string]any {
	return changed(map[string]any{
		"iss": s.URL, "aud": Stream, "jti": rand.Text(), "iat": time.Now().Unix(),
		"sub_id": map[string]any{"format": "iss_sub", "iss": s.URL, "sub": "alice"},
		"events": map[string]any{EventSessionRevoked: map[string]any{"event_timestamp": time.Now().Unix()}},
	}, changes)
}

func changed(claims, changes map[string]any) map[string]any {
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Logout sends a logout token.
func (g *Gateway) Logout(text string) Answer {
	g.tb.Helper()
	return g.Post("/backchannel-logout", map[string][]string{"logout_token": {text}})
}

// Push sends a Security Event Token.
func (g *Gateway) Push(text string) Answer {
	g.tb.Helper()
	request, err := http.NewRequest(http.MethodPost, g.URL+"/shared-signals", strings.NewReader(text))
	if err != nil {
		g.tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/secevent+jwt")
	return g.Do(request)
}
