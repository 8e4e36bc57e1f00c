package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// TestQuickstart runs the example that has everything in one file.
func TestQuickstart(t *testing.T) {
	if out, err := exec.Command(harness.Binary(t), "adapt", "--config", filepath.Join(harness.Root(), "examples", "quickstart", "Caddyfile")).CombinedOutput(); err != nil || strings.Contains(string(out), `"warn"`) {
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
		return outcomes["denied"] >= 3 && outcomes["granted"] > 3
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
