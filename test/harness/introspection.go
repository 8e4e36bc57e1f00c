package harness

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// An Introspection is the strict introspection endpoint of an AuthServer
// (RFC 7662): it wants an authenticated client, a form and nothing in the query,
// and knows the tokens that a test gave it.
type Introspection struct {
	server *AuthServer

	mu      sync.Mutex
	tokens  map[string]map[string]any
	asked   []url.Values
	accepts []string
	answer  http.HandlerFunc
	signs   bool
}

// Introspects gives the server an introspection endpoint, and names it in the
// metadata.
func (s *AuthServer) Introspects(tb testing.TB) *Introspection {
	tb.Helper()
	i := &Introspection{server: s, tokens: make(map[string]map[string]any)}
	s.Handle("/introspect", i.serve)
	s.Handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		signs := i.signs
		i.mu.Unlock()
		members := map[string]any{
			"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "token_endpoint": s.URL + "/token", "introspection_endpoint": s.URL + "/introspect",
		}
		if signs {
			members["introspection_signing_alg_values_supported"] = []string{"ES256"}
		}
		_, _ = w.Write(tokentest.JSON(members))
	})
	return i
}

// Sign makes the metadata offer signed answers (RFC 9701).
func (i *Introspection) Sign() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signs = true
}

// Issue makes a text a good token with the claims of a good access token, with
// changes; a nil value leaves one out.
func (i *Introspection) Issue(text string, changes map[string]any) string {
	members := i.server.Claims(map[string]any{"active": true, "token_type": "Bearer"})
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[text] = members
	return text
}

// Revoke makes a token one that is not good.
func (i *Introspection) Revoke(text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.tokens, text)
}

// Answer replaces what an authenticated client is answered; nil is the usual.
func (i *Introspection) Answer(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// Asked are the forms of authenticated clients, oldest first.
func (i *Introspection) Asked() []url.Values {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]url.Values(nil), i.asked...)
}

// Accepts are the Accept headers of authenticated clients, oldest first.
func (i *Introspection) Accepts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.accepts...)
}

func (i *Introspection) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.ParseForm() != nil || len(r.PostForm["token"]) != 1 {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	i.server.mu.Lock()
	known := i.server.known
	i.server.mu.Unlock()
	if known == nil {
		known = authenticated
	}
	if !known(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	i.mu.Lock()
	i.asked, i.accepts = append(i.asked, r.PostForm), append(i.accepts, r.Header.Get("Accept"))
	answer, members := i.answer, i.tokens[r.PostForm.Get("token")]
	i.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	if members == nil {
		members = map[string]any{"active": false}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(members)
}

// Signed answers with a signed answer (RFC 9701, section 5) about a good token,
// with changes to the JWT around it and to its header.
func (i *Introspection) Signed(header, changes map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		outer := map[string]any{
			"iss": i.server.URL, "aud": ClientID, "iat": time.Now().Unix(),
			"token_introspection": i.server.Claims(map[string]any{"active": true}),
		}
		maps.Copy(outer, changes)
		full := map[string]any{"typ": "token-introspection+jwt"}
		maps.Copy(full, header)
		w.Header().Set("Content-Type", "application/token-introspection+jwt")
		_, _ = w.Write([]byte(i.server.Key.Sign(full, outer)))
	}
}
