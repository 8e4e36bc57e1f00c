package test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const hookSecret = "canary-webhook-secret-of-the-example"

// fitEvents puts a webhook of the test in the place of the example's.
func (s *stage) fitEvents(t *testing.T, caddyfile string) string {
	t.Helper()
	s.hook = harness.NewHook(t, hookSecret)
	if err := os.WriteFile(filepath.Join(s.folder, "webhook-secret"), []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("https://alerts.example.com/gatehouse", s.hook.URL, "jwks_refresh 5m", "jwks_refresh 1s").Replace(caddyfile)
}

func actEvents(t *testing.T, s *stage) {
	t.Helper()
	alice := s.idp.Token(nil)
	s.Await("/orders/1", alice, http.StatusOK)
	s.operate(t, "", "revoke", "subject", "alice", "--issuer", "main", "--reason", "laptop stolen")
	revoked := s.hook.Await(t, "token_revoked", 1)
	if revoked.Data["kind"] != "subject" || revoked.Data["issuer"] != s.idp.URL || revoked.Data["reason"] != "laptop stolen" || revoked.Data["value"] != nil {
		t.Errorf("token_revoked says %v", revoked.Data)
	}
	s.idp.Fail(http.StatusServiceUnavailable)
	// An outage is one event, however often the keys cannot be renewed.
	harness.Eventually(t, "renewing failed twice", func() bool { return failedRefreshes(s) >= 2 })
	s.idp.Fail(0)
	s.hook.Await(t, "issuer_recovered", 1)
	down := s.hook.Await(t, "issuer_unreachable", 1)
	if down.Data["issuer"] != s.idp.URL || down.Data["error"] == "" {
		t.Errorf("issuer_unreachable says %v", down.Data)
	}
	if all := s.hook.Types(); strings.Join(all, " ") != "token_revoked issuer_unreachable issuer_recovered" {
		t.Errorf("the webhook was told %v", all)
	}
	for _, secret := range []string{alice, hookSecret, harness.ClientSecret} {
		if strings.Contains(s.hook.Text(), secret) || strings.Contains(s.Log(), secret) {
			t.Errorf("an event or the log holds %.60q", secret)
		}
	}
}

var failedRefresh = regexp.MustCompile(`keyset_refreshes_total\{[^}]*outcome="failed"[^}]*\} (\d+)`)

func failedRefreshes(s *stage) int {
	found := failedRefresh.FindStringSubmatch(s.Metrics())
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		return 0
	}
	return n
}
