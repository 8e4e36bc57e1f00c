package test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const mcpMetadata = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/mcp"`

// actMCP stands in for an MCP client and for a server that holds its tools to the
// scopes of its own token. The real ones are in dev/interop/mcp.
func actMCP(t *testing.T, s *stage) {
	t.Helper()
	s.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: one\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		claims := harness.Claims(t, harness.Received{Header: r.Header}.Bearer())
		if scope, _ := claims["scope"].(string); !strings.Contains(scope, "orders:write") {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="orders:read orders:write"`)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, "cancelled")
	})
	held := func(scope string) string {
		return s.idp.Token(map[string]any{"aud": "https://api.example.com/mcp", "scope": scope})
	}
	s.Await("/mcp", held("profile"), http.StatusForbidden)
	s.mcpDiscovers(t)

	weak := s.Get("/mcp", held("profile")).Expect(t, http.StatusForbidden)
	for _, part := range []string{`error="insufficient_scope"`, `scope="orders:read"`, mcpMetadata} {
		if got := weak.Header.Get("WWW-Authenticate"); !strings.Contains(got, part) {
			t.Errorf("WWW-Authenticate = %q, without %s", got, part)
		}
	}
	s.Get("/mcp", s.idp.Token(nil)).Expect(t, http.StatusUnauthorized) // made for another API

	// The server's own challenge for one of its tools gets to the client.
	refused := s.Do(s.Request(http.MethodPost, "/mcp", held("orders:read profile"))).Expect(t, http.StatusForbidden)
	if got := refused.Header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_scope", scope="orders:read orders:write"` {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	token := held("orders:read orders:write")
	s.Do(s.Request(http.MethodPost, "/mcp", token)).Expect(t, http.StatusOK)
	if got := s.upstream.Last(t); got.Holds(token) || harness.Claims(t, got.Bearer())["aud"] != "orders" {
		t.Errorf("the server got %v", got.Header)
	}
	s.events(t, "/mcp", token) // its first event comes while the stream goes on
}

// mcpDiscovers goes the way of a client that has nothing yet: to the challenge, and
// to the metadata that it names.
func (s *stage) mcpDiscovers(t *testing.T) {
	t.Helper()
	first := s.Get("/mcp", "").Expect(t, http.StatusUnauthorized)
	if got := first.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") || !strings.Contains(got, mcpMetadata) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	answer := s.Get("/.well-known/oauth-protected-resource/mcp", "").Expect(t, http.StatusOK)
	var got map[string]any
	if err := json.Unmarshal([]byte(answer.Body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"resource": "https://api.example.com/mcp", "authorization_servers": []any{s.idp.URL},
		"scopes_supported": []any{"orders:read"}, "bearer_methods_supported": []any{"header"}, "resource_name": "Orders",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
