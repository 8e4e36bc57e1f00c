//go:build interop

package hydra_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// program is the Hydra that was built for this run. Its database in memory is
// SQLite, which wants cgo.
var program string

func TestMain(m *testing.M) {
	os.Exit(interop.RunWith(m, "hydra/server", "github.com/ory/hydra/v2", &program, "CGO_ENABLED=1", "GOFLAGS=-tags=sqlite"))
}

// accessTokenKeys is the key set for access tokens.
const accessTokenKeys = "hydra.jwt.access-token"

// A hydra is a running one.
type hydra struct {
	t             *testing.T
	issuer, admin string
}

// start ends with the test.
func start(t *testing.T) *hydra {
	t.Helper()
	config, err := os.ReadFile("config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	public, admin := harness.FreeAddress(t), harness.FreeAddress(t)
	h := &hydra{t: t, issuer: "http://" + public, admin: "http://" + admin}
	file := filepath.Join(t.TempDir(), "config.yaml")
	filled := strings.NewReplacer("$ISSUER", h.issuer, "$PUBLIC", port(public), "$ADMIN", port(admin)).Replace(string(config))
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	process := harness.StartProcess(t, "hydra", exec.Command(program, "serve", "all", "--dev", "--config", file))
	process.AwaitReady(func() bool {
		answer, err := http.Get(h.admin + "/health/ready")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	// Else it makes RSA keys of 4096 bits when the first request comes, and may give
	// that up for its own timeout where other work goes on.
	for _, set := range []string{accessTokenKeys, "hydra.openid.id-token"} {
		h.administer(http.MethodPost, "keys/"+set, map[string]any{"alg": "ES256", "use": "sig", "kid": "first"}, http.StatusCreated)
	}
	return h
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// administer sends JSON to the administrative API, and wants that status.
func (h *hydra) administer(method, path string, body any, status int) []byte {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.admin+"/admin/"+path, bytes.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	got, answer := h.send(request)
	if got != status {
		h.t.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	return answer
}

// client registers a client whose secret is its name with "-secret".
func (h *hydra) client(id, strategy string, grants ...string) {
	h.t.Helper()
	h.administer(http.MethodPost, "clients", map[string]any{
		"client_id": id, "client_secret": id + "-secret", "grant_types": grants, "scope": "orders:read orders:write",
		"audience":              []string{"https://api.example.com", "https://orders.example.com"},
		"access_token_strategy": strategy, "token_endpoint_auth_method": "client_secret_basic",
	}, http.StatusCreated)
}

// token is one that a client gets for itself.
func (h *hydra) token(id, scope, audience string) string {
	h.t.Helper()
	status, body := h.post("oauth2/token", id, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "audience": {audience}})
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		h.t.Fatalf("asking for a token: %d %s", status, body)
	}
	return answer.AccessToken
}

func (h *hydra) revoke(id, token string) {
	h.t.Helper()
	if status, body := h.post("oauth2/revoke", id, url.Values{"token": {token}}); status != http.StatusOK {
		h.t.Fatalf("revoking: %d %s", status, body)
	}
}

func (h *hydra) post(path, id string, form url.Values) (status int, body []byte) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.issuer+"/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, id+"-secret")
	return h.send(request)
}

func (h *hydra) send(request *http.Request) (status int, body []byte) {
	h.t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err = io.ReadAll(answer.Body); err != nil {
		h.t.Fatal(err)
	}
	return answer.StatusCode, body
}
