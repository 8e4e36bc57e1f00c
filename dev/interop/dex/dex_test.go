//go:build interop

package dex_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A stage is examples/exchange-dex with a real Dex and a provider of the callers.
type stage struct {
	*harness.Gateway

	dex      string
	token    string // of alice, who may be asked about at the provider
	ended    atomic.Bool
	upstream *harness.Upstream
}

// begin starts all of it, with changes to the gateway's Caddyfile.
func begin(t *testing.T, changes ...string) *stage {
	t.Helper()
	t.Setenv("GATEWAY_SECRET", "gateway-secret")
	corp := harness.NewAuthServer(t)
	s := &stage{upstream: harness.NewUpstream(t), token: corp.Token(map[string]any{"scope": "orders:read"})}
	corp.Handle("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+s.token || s.ended.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"sub": "alice", "name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []string{"buyers"},
		})
	})
	s.dex = start(t, corp.URL)
	caddyfile, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "exchange-dex", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway = harness.Start(t, strings.NewReplacer(
		"https://idp.example.com/realms/main", corp.URL,
		"https://dex.example.com", s.dex,
		"\napi.example.com {", "\n$SITE {",
		"orders.internal:8080", s.upstream.Address,
	).Replace(strings.NewReplacer(changes...).Replace(string(caddyfile))))
	s.Await("/", s.token, http.StatusOK) // the keys of corp; nothing answers there
	return s
}

// The caller's token becomes one of Dex's, for the gateway's client. Dex writes
// at_hash into it as into an ID token, so token_auth of another gateway refuses it.
func TestDex(t *testing.T) {
	s := begin(t)
	s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
	got := s.upstream.Last(t)
	claims := harness.Claims(t, got.Bearer())
	if claims["iss"] != s.dex || claims["aud"] != "gateway" || got.Holds(s.token) {
		t.Errorf("the upstream got %v", claims)
	}
	if diff := cmp.Diff([]any{"buyers"}, claims["groups"]); diff != "" {
		t.Error(diff)
	}
	subject, _ := claims["sub"].(string)
	// Dex's subjects are made of user and connector.
	if text, err := base64.RawURLEncoding.DecodeString(subject); err != nil || !strings.Contains(string(text), "alice") {
		t.Errorf("sub is %q: %v", subject, err)
	}
	if said := s.userinfo(t, got.Bearer()); said != subject {
		t.Errorf("dex says that the token is %q's, want %q", said, subject)
	}
	inner := harness.Start(t, "$SITE {\n token_auth $DEX {\n audience gateway\n }\n respond in\n}\n", "$DEX", s.dex)
	inner.Get("/", got.Bearer()).Expect(t, http.StatusUnauthorized)
	harness.Eventually(t, "the refusal is in the audit trail", func() bool { return len(inner.Audit()) > 0 })
	if line := inner.Audit()[0]; line["rule"] != "wrong_type" {
		t.Errorf("audit: %v", line)
	}
}

// userinfo is the subject that Dex itself finds in a token of its own.
func (s *stage) userinfo(t *testing.T, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.dex+"/userinfo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var said struct{ Sub string }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Errorf("reading what dex says: %v", err)
	}
	return said.Sub
}

// A token that the callers' provider does not know any more.
func TestDexRefuses(t *testing.T) {
	s := begin(t)
	s.ended.Store(true)
	s.Get("/orders/1", s.token).Expect(t, http.StatusForbidden)
	if got := s.upstream.Received(); len(got) != 0 {
		t.Errorf("the upstream got %d requests", len(got))
	}
}

// What is written wrongly is no fault of the caller's, who hears nothing of it.
func TestDexMisconfigured(t *testing.T) {
	for name, change := range map[string][]string{
		"another connector": {"param connector_id corp", "param connector_id other"},
		"no connector":      {"param connector_id corp", ""},
		"a wrong secret":    {"{env.GATEWAY_SECRET}", "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, change...)
			answer := s.Get("/orders/1", s.token).Expect(t, http.StatusBadGateway)
			if strings.Contains(answer.Body, "connector") || strings.Contains(answer.Body, "secret") {
				t.Errorf("the caller hears %q", answer.Body)
			}
		})
	}
}
