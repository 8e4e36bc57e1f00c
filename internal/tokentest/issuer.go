package tokentest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// An Issuer is an authorization server that publishes metadata and keys on
// loopback.
type Issuer struct {
	URL string

	server *httptest.Server
	mu     sync.Mutex
	keys   []*Key
	status int
	hits   map[string]int
	serve  map[string]http.HandlerFunc
}

// NewIssuer starts an issuer with these keys; it ends with the test.
func NewIssuer(tb testing.TB, keys ...*Key) *Issuer {
	tb.Helper()
	issuer := &Issuer{keys: keys, hits: make(map[string]int), serve: make(map[string]http.HandlerFunc)}
	issuer.server = httptest.NewServer(issuer)
	issuer.URL = issuer.server.URL
	tb.Cleanup(issuer.server.Close)
	return issuer
}

// Rotate publishes other keys from now on.
func (i *Issuer) Rotate(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Fail answers everything with that status; 0 ends it.
func (i *Issuer) Fail(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// Handle serves a path in place of what the issuer would do.
func (i *Issuer) Handle(path string, handler http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serve[path] = handler
}

// Hits is how often a path was asked for.
func (i *Issuer) Hits(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hits[path]
}

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.hits[r.URL.Path]++
	status, keys, handler := i.status, i.keys, i.serve[r.URL.Path]
	i.mu.Unlock()
	switch {
	case status != 0:
		w.WriteHeader(status)
	case handler != nil:
		handler(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_, _ = w.Write(JSON(map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/jwks", "token_endpoint": i.URL + "/token",
		}))
	case r.URL.Path == "/jwks":
		_, _ = w.Write(Set(keys...))
	default:
		http.NotFound(w, r)
	}
}

// Claims are those of a good access token of the issuer, with changes; a nil
// value leaves a claim out.
func (i *Issuer) Claims(changes map[string]any) map[string]any {
	return Claims(i.URL, changes)
}

// Claims are those of a good access token, with changes; a nil value leaves a
// claim out.
func Claims(issuer string, changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "sub": "alice", "aud": "https://api.example.com", "client_id": "app",
		"scope": "orders:read orders:write", "jti": "id-1",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}
