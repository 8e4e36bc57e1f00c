package harness

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// Authenticate replaces how the token endpoint knows its client; nil is the
// secret again.
func (s *AuthServer) Authenticate(known func(r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
}

// RefuseClients sets how the token endpoint refuses clients that it does not know; an
// empty code is an answer without one.
func (s *AuthServer) RefuseClients(status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stranger = func(w http.ResponseWriter) {
		if code == "" {
			w.WriteHeader(status)
			return
		}
		refuse(w, status, code)
	}
}

// An AssertionRule is what a strict server wants of a client assertion.
type AssertionRule struct {
	Key      *tokentest.Key // whose signature; nil: HS256 with Secret
	Secret   string
	Audience string
	Type     string
	Subject  string // default: ClientID
	Kind     string // the end of client_assertion_type; default: jwt-bearer
	Often    bool   // it is good more than once, as a workload's token is

	mu   sync.Mutex
	seen []string
}

// Accepts tells whether a request proves itself by one good assertion and by
// nothing else. It takes each assertion once (RFC 7523, section 3, item 7).
func (a *AssertionRule) Accepts(tb testing.TB, r *http.Request) bool {
	tb.Helper()
	text, kind := r.PostForm.Get("client_assertion"), a.Kind
	if kind == "" {
		kind = "jwt-bearer"
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || r.Header.Get("Authorization") != "" || r.PostForm.Has("client_secret") ||
		r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:"+kind ||
		r.PostForm.Get("client_id") != ClientID {
		return false
	}
	var header map[string]any
	if json.Unmarshal(tokentest.Decode(tb, parts[0]), &header) != nil || header["typ"] != a.Type || !a.signed(tb, text, header) {
		return false
	}
	claims := Claims(tb, text)
	subject := a.Subject
	if subject == "" {
		subject = ClientID
	}
	expiry, _ := claims["exp"].(float64)
	left := time.Until(time.Unix(int64(expiry), 0))
	audience := claims["aud"]
	if list, ok := audience.([]any); ok && len(list) == 1 {
		audience = list[0]
	}
	return claims["iss"] == subject && claims["sub"] == subject && audience == a.Audience &&
		left > 0 && left <= 5*time.Minute && (a.Often || a.first(claims["jti"]))
}

func (a *AssertionRule) signed(tb testing.TB, text string, header map[string]any) bool {
	tb.Helper()
	if a.Key == nil {
		return header["alg"] == "HS256" && text == tokentest.HS256([]byte(a.Secret), header, Claims(tb, text))
	}
	jws, err := jose.ParseJWS(text)
	if err != nil {
		return false
	}
	set, err := jose.ParseKeySet(tokentest.Set(a.Key))
	if err != nil {
		tb.Error(err)
		return false
	}
	return jws.VerifyWith(set.Keys[0], jose.Algorithm(a.Key.Algorithm)) == nil
}

func (a *AssertionRule) first(id any) bool {
	text, _ := id.(string)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(text) < 16 || slices.Contains(a.seen, text) {
		return false
	}
	a.seen = append(a.seen, text)
	return true
}

// MutualTLS serves the server at a second address that asks for a certificate,
// and names it in the metadata (RFC 8705, section 5).
func (s *AuthServer) MutualTLS(tb testing.TB) *httptest.Server {
	tb.Helper()
	second := httptest.NewUnstartedServer(s.Issuer)
	second.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	second.StartTLS()
	tb.Cleanup(second.Close)
	s.Handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "token_endpoint": s.URL + "/token", "introspection_endpoint": s.URL + "/introspect",
			"mtls_endpoint_aliases": map[string]string{"token_endpoint": second.URL + "/token", "introspection_endpoint": second.URL + "/introspect"},
		}))
	})
	return second
}
