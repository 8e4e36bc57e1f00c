package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// readyNode trusts an issuer, mints, and tells balancers whether it is ready.
const readyNode = `{
	shutdown_delay 3s
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		sign {
			issuer https://gateway.example
		}
	}
}
$SITE {
	token_service {
		endpoints jwks metadata ready
	}
	token_auth main
	respond "{http.auth.user.id}"
}
`

// readiness is what the admin endpoint says.
func readiness(t *testing.T, gateway *harness.Gateway) (status int, reasons []string) {
	t.Helper()
	answer, err := http.Get(gateway.Admin + "/gatehouse/ready")
	if err != nil {
		return 0, nil
	}
	defer func() { _ = answer.Body.Close() }()
	var said struct {
		Ready   bool
		Reasons []string
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	if said.Ready != (answer.StatusCode == http.StatusOK) || said.Ready != (len(said.Reasons) == 0) {
		t.Errorf("status %d with %+v", answer.StatusCode, said)
	}
	return answer.StatusCode, said.Reasons
}

// atTheDoor is what balancers hear.
func atTheDoor(t *testing.T, gateway *harness.Gateway) (status int, body string) {
	t.Helper()
	answer, err := http.Get(gateway.URL + "/oauth2/ready")
	if err != nil {
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestReadyMeansKeysAndList(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	idp.Fail(http.StatusServiceUnavailable)
	gateway := harness.Start(t, readyNode, "$IDP", idp.URL)
	harness.Eventually(t, "only the issuer's keys are missing", func() bool {
		status, reasons := readiness(t, gateway)
		return status == http.StatusServiceUnavailable && strings.Join(reasons, ",") == "the keys of issuer "+idp.URL+" have not come yet"
	})
	if status, body := atTheDoor(t, gateway); status != http.StatusServiceUnavailable || body != "" {
		t.Errorf("strangers hear %d %q", status, body)
	}
	idp.Fail(0)
	harness.Eventually(t, "it is ready", func() bool {
		status, _ := readiness(t, gateway)
		door, _ := atTheDoor(t, gateway)
		return status == http.StatusOK && door == http.StatusOK
	})
	// An outage that comes later takes no node out: its tokens are verified on.
	idp.Fail(http.StatusServiceUnavailable)
	if status, reasons := readiness(t, gateway); status != http.StatusOK {
		t.Errorf("%d, %v", status, reasons)
	}
	gateway.Get("/", idp.Token(nil)).Expect(t, http.StatusOK)
}

// TestNotReadyWhileItShutsDown has the balancer look elsewhere while requests are
// still served.
func TestNotReadyWhileItShutsDown(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, readyNode, "$IDP", idp.URL)
	token := idp.Token(nil)
	gateway.Await("/", token, http.StatusOK)
	harness.Eventually(t, "it is ready", func() bool { status, _ := atTheDoor(t, gateway); return status == http.StatusOK })
	gateway.Signal(syscall.SIGTERM)
	harness.Eventually(t, "balancers hear of it", func() bool {
		status, _ := atTheDoor(t, gateway)
		return status == http.StatusServiceUnavailable
	})
	if status, reasons := readiness(t, gateway); status != http.StatusServiceUnavailable || !strings.Contains(strings.Join(reasons, ","), "shutting down") {
		t.Errorf("%d, %v", status, reasons)
	}
	gateway.Get("/", token).Expect(t, http.StatusOK)
}
