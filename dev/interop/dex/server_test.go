//go:build interop

package dex_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// program is the Dex that was built for this run.
var program string

func TestMain(m *testing.M) {
	os.Exit(interop.RunWith(m, "dex/server", "github.com/dexidp/dex/cmd/dex", &program, "CGO_ENABLED=0"))
}

// start starts a Dex whose connector "corp" is that provider, and returns its
// issuer. It ends with the test.
func start(t *testing.T, corp string) string {
	t.Helper()
	config, err := os.ReadFile("config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	address := harness.FreeAddress(t)
	issuer := "http://" + address
	file := filepath.Join(t.TempDir(), "config.yaml")
	filled := strings.NewReplacer("$ISSUER", issuer, "$ADDRESS", address, "$CORP", corp).Replace(string(config))
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	dex := harness.StartProcess(t, "dex", exec.Command(program, "serve", file))
	dex.AwaitReady(func() bool { return answers(t, issuer+"/.well-known/openid-configuration") })
	return issuer
}

func answers(t *testing.T, url string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
