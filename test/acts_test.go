package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actAPI(t *testing.T, s *stage) {
	t.Helper()
	s.exchanges(t, "/orders/1", "orders")
	s.Get("/orders/1", s.idp.Token(map[string]any{"scope": "profile"})).Expect(t, http.StatusForbidden)
	harness.Eventually(t, "token_require refused, before token_exchange was asked", func() bool {
		return slices.ContainsFunc(s.Audit(), func(line map[string]any) bool { return line["directive"] == "token_require" })
	})
}

func actSeveralIssuers(t *testing.T, s *stage) {
	t.Helper()
	staff := s.idp.Token(nil)
	partner := s.other.Token(map[string]any{"tenant": "acme", "scope": "orders:read"})
	s.Await("/internal/1", staff, http.StatusOK)
	if got := s.upstream.Last(t).Header.Get("X-User"); got != "staff/alice" {
		t.Errorf("X-User = %q", got)
	}
	s.Await("/partner/1", partner, http.StatusOK)
	got := s.upstream.Last(t)
	if got.Header.Get("X-User") != "partners/alice" || got.Header.Get("X-Tenant") != "acme" {
		t.Errorf("the upstream got %v", got.Header)
	}
	s.Get("/internal/1", partner).Expect(t, http.StatusForbidden)
	s.Get("/partner/1", staff).Expect(t, http.StatusForbidden)
	stranger := s.other.Token(map[string]any{"tenant": "initech"})
	s.Get("/partner/1", stranger).Expect(t, http.StatusForbidden)
	if a, b := len(s.idp.Forms()), len(s.other.Forms()); a != 1 || b != 1 {
		t.Errorf("%d and %d exchanges, want one each", a, b)
	}
}

func actErrorPages(t *testing.T, s *stage) {
	t.Helper()
	s.Await("/", s.idp.Token(nil), http.StatusOK)
	page := func(token string, status int) map[string]any {
		t.Helper()
		answer := s.Get("/", token).Expect(t, status)
		var body map[string]any
		if err := json.Unmarshal([]byte(answer.Body), &body); err != nil {
			t.Fatalf("%v: %s", err, answer.Body)
		}
		delete(body, "request_id")
		if status < 500 && answer.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%d without a challenge", status)
		}
		return body
	}
	for token, want := range map[string]map[string]any{
		"":    {"status": 401.0, "title": "Unauthorized", "error": ""},
		"bad": {"status": 401.0, "title": "Unauthorized", "error": "invalid_token"},
	} {
		if diff := cmp.Diff(want, page(token, http.StatusUnauthorized)); diff != "" {
			t.Error(diff)
		}
	}
	want := map[string]any{"status": 403.0, "title": "Forbidden", "error": "insufficient_scope"}
	if diff := cmp.Diff(want, page(s.idp.Token(map[string]any{"scope": "profile"}), http.StatusForbidden)); diff != "" {
		t.Error(diff)
	}
	// An error of the upstream is not one of the token.
	s.upstream.Respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	want = map[string]any{"status": 502.0, "title": "Bad Gateway", "error": ""}
	if diff := cmp.Diff(want, page(s.idp.Token(nil), http.StatusBadGateway)); diff != "" {
		t.Error(diff)
	}
}

func actCustomHeader(t *testing.T, s *stage) {
	t.Helper()
	request := s.Request(http.MethodGet, "/", s.idp.Token(nil))
	s.Await("/", s.idp.Token(nil), http.StatusOK)
	request.Header.Set("X-Access-Token", "forged")
	s.Do(request).Expect(t, http.StatusOK)
	got := s.upstream.Last(t)
	if got.Header.Get("Authorization") != "" {
		t.Error("the upstream got an Authorization header")
	}
	if tokens := got.Header.Values("X-Access-Token"); len(tokens) != 1 || harness.Claims(t, tokens[0])["aud"] != "legacy" {
		t.Errorf("X-Access-Token: %v", tokens)
	}
}

func actClientKey(t *testing.T, s *stage) {
	t.Helper()
	rule := &harness.AssertionRule{Key: s.key, Audience: s.idp.URL, Type: "client-authentication+jwt"}
	s.idp.Authenticate(func(r *http.Request) bool { return rule.Accepts(t, r) })
	s.exchanges(t, "/", "orders")
	s.Get("/", s.idp.Token(map[string]any{"scope": "profile"})).Expect(t, http.StatusForbidden)
}

func actTelemetry(t *testing.T, s *stage) {
	t.Helper()
	s.exchanges(t, "/", "orders")
	s.Get("/", s.idp.Token(map[string]any{"scope": "profile"})).Expect(t, http.StatusForbidden)
	harness.Eventually(t, "the audit file holds denials and grants", func() bool {
		content, _ := os.ReadFile(filepath.Join(s.folder, "audit.log"))
		return strings.Contains(string(content), `"msg":"denied"`) && strings.Contains(string(content), `"msg":"granted"`)
	})
	if len(s.Audit()) > 0 {
		t.Error("the audit trail is in the default log as well")
	}
	harness.Eventually(t, "the access log names the caller", func() bool {
		return strings.Contains(s.Log(), `"user":"alice"`)
	})
	for _, span := range []string{"token_auth", "token_require", "token_exchange"} {
		harness.Eventually(t, "a span "+span, func() bool { return strings.Contains(s.Log(), `"Name":"`+span+`"`) })
	}
	answer, err := http.Get("http://" + s.scrape(t) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if metrics := s.Metrics(); answer.StatusCode != http.StatusOK || !strings.Contains(metrics, "caddy_gatehouse_decisions_total") {
		t.Errorf("metrics: %d\n%s", answer.StatusCode, metrics)
	}
}

// exchanges walks the usual way: no token, a good one, another at the upstream.
func (s *stage) exchanges(t *testing.T, path, audience string) {
	t.Helper()
	token := s.idp.Token(nil)
	answer := s.Get(path, "").Expect(t, http.StatusUnauthorized)
	if got := answer.Header.Get("WWW-Authenticate"); got != `Bearer realm="gatehouse"` {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	s.Await(path, token, http.StatusOK)
	got := s.upstream.Last(t)
	if claims := harness.Claims(t, got.Bearer()); claims["aud"] != audience || got.Holds(token) {
		t.Errorf("the upstream got %v", claims)
	}
}

// scrape is the address of the second site of the example telemetry.
func (s *stage) scrape(t *testing.T) string {
	t.Helper()
	answer, err := http.Get(s.Admin + "/config/apps/http/servers")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var servers map[string]struct{ Listen []string }
	if err := json.NewDecoder(answer.Body).Decode(&servers); err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		if address := server.Listen[0]; !strings.HasSuffix(s.URL, address[strings.LastIndex(address, ":"):]) {
			return address
		}
	}
	t.Fatal("no second site")
	return ""
}

// actRegions loses the first region and finds keys and tokens in the second.
func actRegions(t *testing.T, s *stage) {
	t.Helper()
	s.exchanges(t, "/orders/1", "orders")
	s.Await("/partner/1", s.idp.Token(nil), http.StatusOK)
	if n, m := len(s.idp.Forms()), len(s.other.Forms()); n != 1 || m != 1 {
		t.Errorf("%d and %d exchanges, want one each", n, m)
	}
	s.Get("/orders/1", s.other.Token(nil)).Expect(t, http.StatusUnauthorized)
	s.idp.Fail(http.StatusServiceUnavailable)
	// A key that only the other region has yet: it is looked for there.
	renewed := tokentest.NewKey(t, "ES256", "k2")
	s.region.Rotate(s.idp.Key, renewed)
	s.Await("/orders/1", renewed.Sign(nil, s.idp.Claims(nil)), http.StatusOK)
}

// regionOf starts another region of an issuer, which publishes the metadata of the
// first, and returns its URL.
func (s *stage) regionOf(t *testing.T, issuer *harness.AuthServer) string {
	t.Helper()
	s.region = harness.NewAuthServer(t)
	s.region.Handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": issuer.URL, "jwks_uri": issuer.URL + "/jwks", "token_endpoint": issuer.URL + "/token",
		}))
	})
	return s.region.URL
}
