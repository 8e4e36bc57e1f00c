package test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddy-gatehouse/gatehouse"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// stage is what an example runs between: servers and an upstream of the test in
// the places of those it names.
type stage struct {
	*harness.Gateway

	idp, other *harness.AuthServer
	upstream   *harness.Upstream
	folder     string
}

// examples are the folders of examples/ with what each must do. quickstart
// stands on its own; see TestQuickstart.
var examples = map[string]func(*testing.T, *stage){
	"api": func(t *testing.T, s *stage) {
		s.exchanges(t, "/orders/1", "orders")
		s.Get("/orders/1", s.idp.Token(map[string]any{"scope": "profile"})).Expect(t, http.StatusForbidden)
	},
	"several-issuers": func(t *testing.T, s *stage) {
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
	},
	"error-pages": func(t *testing.T, s *stage) {
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
	},
	"custom-header": func(t *testing.T, s *stage) {
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
	},
	"telemetry": func(t *testing.T, s *stage) {
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
	},
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

// TestExamples holds every example to what it promises: it adapts as it is,
// without a warning and without the development provider, and it works.
func TestExamples(t *testing.T) {
	for _, name := range []string{"GATEWAY_SECRET", "STAFF_SECRET", "PARTNERS_SECRET"} {
		t.Setenv(name, harness.ClientSecret)
	}
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	for _, name := range exampleFolders(t) {
		if name == "quickstart" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			act := examples[name]
			if act == nil {
				t.Fatalf("examples/%s has no test", name)
			}
			caddyfile := readExample(t, name)
			if warnings := adaptText(t, caddyfile); len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			s := &stage{
				idp: harness.NewAuthServer(t), other: harness.NewAuthServer(t),
				upstream: harness.NewUpstream(t), folder: t.TempDir(),
			}
			onStage := strings.NewReplacer(
				"\napi.example.com {", "\n$SITE {",
				"https://idp.example.com/realms/main", s.idp.URL,
				"https://idp.example.com/realms/staff", s.idp.URL,
				"https://login.example.net", s.other.URL,
				"orders.internal:8080", s.upstream.Address,
				"legacy.internal:8080", s.upstream.Address,
				"127.0.0.1:9180", harness.FreeAddress(t),
				"/var/log/caddy", s.folder)
			s.Gateway = harness.Start(t, onStage.Replace(withoutPreface(caddyfile)))
			act(t, s)
		})
	}
}

// TestQuickstart runs the example that has everything in one file.
func TestQuickstart(t *testing.T) {
	if out, err := exec.Command(harness.Binary(t), "adapt", "--config", filepath.Join(harness.Root(), "examples/quickstart/Caddyfile")).CombinedOutput(); err != nil || strings.Contains(string(out), `"warn"`) {
		t.Fatalf("adapting: %v\n%s", err, out)
	}
	provider, upstream := harness.FreeAddress(t), harness.FreeAddress(t)
	text := withoutPreface(readExample(t, "quickstart"))
	for _, own := range []string{"\tadmin localhost:2019\n", "\tpersist_config off\n"} {
		if !strings.Contains(text, own) {
			t.Errorf("%q is not in the quickstart", own)
		}
		text = strings.Replace(text, own, "", 1)
	}
	onStage := strings.NewReplacer("http://127.0.0.1:8080", "$SITE", "127.0.0.1:9000", provider, "127.0.0.1:9001", upstream)
	gateway := harness.Start(t, onStage.Replace(text))
	app := func(scope string, more ...string) string {
		return tokenOf(t, "http://"+provider+"/token", "app", "app-secret", scope, more...)
	}

	gateway.Get("/orders/1", "").Expect(t, http.StatusUnauthorized)
	token := app("orders:read")
	answer := gateway.Await("/orders/1", token, http.StatusOK)
	var seen struct{ Headers http.Header }
	if err := json.Unmarshal([]byte(answer.Body), &seen); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	bearer := strings.TrimPrefix(seen.Headers.Get("Authorization"), "Bearer ")
	claims := harness.Claims(t, bearer)
	want := map[string]any{"aud": []any{"orders"}, "scope": "orders:read", "sub": "app", "client_id": "gateway"}
	for name, value := range want {
		if diff := cmp.Diff(value, claims[name]); diff != "" {
			t.Errorf("%s of the upstream's token: %s", name, diff)
		}
	}
	refused := gateway.Get("/reports/1", token).Expect(t, http.StatusForbidden)
	if got := refused.Header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="reports:read"`) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	gateway.Get("/reports/1", app("reports:read")).Expect(t, http.StatusOK)
	gateway.Get("/orders/1", app("orders:read", "http://127.0.0.1:8081")).Expect(t, http.StatusUnauthorized)
	if got := gateway.Get("/whoami", token); got.Body != "app by way of app, scope: orders:read\n" {
		t.Errorf("/whoami says %q", got.Body)
	}
	harness.Eventually(t, "denials and grants are in the audit trail", func() bool {
		outcomes := make(map[any]int)
		for _, line := range gateway.Audit() {
			outcomes[line["msg"]]++
		}
		return outcomes["denied"] == 3 && outcomes["granted"] > 3
	})
}

// tokenOf gets a token by client credentials.
func tokenOf(t *testing.T, endpoint, id, secret, scope string, audience ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "audience": audience}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Token == "" {
		t.Fatalf("no token: %d %v", answer.StatusCode, err)
	}
	return body.Token
}

func exampleFolders(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(os.DirFS(harness.Root()), "examples")
	if err != nil || len(entries) < len(examples)+1 {
		t.Fatalf("%d examples: %v", len(entries), err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(harness.Root(), "examples", entry.Name(), "README.md")); err != nil {
			t.Errorf("examples/%s has no README.md", entry.Name())
		}
		names = append(names, entry.Name())
	}
	return names
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// withoutPreface drops the comment above the global block, where the harness
// puts its own settings.
func withoutPreface(caddyfile string) string {
	return regexp.MustCompile(`\A(#.*\n)+`).ReplaceAllString(caddyfile, "")
}

// adaptText adapts a Caddyfile and returns the warnings.
func adaptText(t *testing.T, caddyfile string) []caddyconfig.Warning {
	t.Helper()
	_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Errorf("adapting: %v\n%s", err, caddyfile)
	}
	return warnings
}
