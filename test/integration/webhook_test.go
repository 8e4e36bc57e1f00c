package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// toldNode is a gateway whose revocations are told to somebody.
func toldNode(hooks ...string) string {
	return "{\n\tgatehouse {\n\t\tissuer main $IDP {\n\t\t\taudience any\n\t\t}\n\t}\n\tevents {\n\t\ton token_revoked gatehouse_webhook " +
		strings.Join(hooks, "\n\t\ton token_revoked gatehouse_webhook ") + "\n\t}\n}\n$SITE {\n\ttoken_auth\n}\n"
}

func trusting(ca string) string { return " {\n\t\t\ttrust_ca " + ca + "\n\t\t}" }

// revokeMany revokes that many tokens in one order.
func revokeMany(t *testing.T, gateway *harness.Gateway, prefix string, count int) {
	t.Helper()
	orders := make([]string, count)
	for i := range orders {
		orders[i] = fmt.Sprintf(`{"kind": "jti", "issuer": "main", "value": "%s-%d"}`, prefix, i)
	}
	if status, said := order(t, gateway, http.MethodPost, "", "["+strings.Join(orders, ",")+"]"); status != http.StatusOK {
		t.Fatalf("revoking: %d %v", status, said)
	}
}

// awaitHooked waits until the events for webhooks came to that.
func awaitHooked(t *testing.T, gateway *harness.Gateway, delivered, failed, dropped int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("%d delivered, %d failed, %d dropped", delivered, failed, dropped), func() bool {
		metrics := gateway.Metrics()
		for outcome, count := range map[string]int{"delivered": delivered, "failed": failed, "dropped": dropped} {
			if !strings.Contains(metrics, fmt.Sprintf("caddy_gatehouse_webhook_events_total{outcome=%q} %d\n", outcome, count)) {
				return false
			}
		}
		return true
	})
}

// Whom a webhook's trust_ca does not vouch for is told nothing, and whom it vouches for
// is told although the system does not know its authority.
func TestWebhookTrustsItsAuthorities(t *testing.T) {
	t.Parallel()
	idp, other := harness.NewAuthServer(t), harness.NewAuthority(t)
	vouched, foreign, unknown := harness.NewTLSHook(t), harness.NewTLSHook(t), harness.NewTLSHook(t)
	gateway := harness.Start(t, toldNode(
		vouched.URL+trusting(other.File+" "+vouched.CA),
		foreign.URL+trusting(other.File),
		unknown.URL,
	), "$IDP", idp.URL)
	revokeMany(t, gateway, "stolen", 1)
	vouched.Await(t, "token_revoked", 1)
	foreign.AwaitDistrust(t)
	unknown.AwaitDistrust(t)
	for _, hook := range []*harness.Hook{foreign, unknown} {
		if told := hook.Types(); len(told) != 0 {
			t.Errorf("an endpoint that nobody vouches for was told %v", told)
		}
	}
	awaitHooked(t, gateway, 1, 0, 0) // the others are tried again
}

// TestWebhookEventsAreCounted counts them for all webhooks of a configuration.
func TestWebhookEventsAreCounted(t *testing.T) {
	t.Parallel()
	idp, takes, refuses := harness.NewAuthServer(t), harness.NewHook(t, ""), harness.NewHook(t, "another secret than none")
	gateway := harness.Start(t, toldNode(takes.URL, refuses.URL, takes.URL), "$IDP", idp.URL)
	awaitHooked(t, gateway, 0, 0, 0)
	revokeMany(t, gateway, "stolen", 3)
	awaitHooked(t, gateway, 6, 3, 0)

	begun := make(chan struct{})
	var once sync.Once
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the gateway hung up
		once.Do(func() { close(begun) })
		<-r.Context().Done()
	}))
	// The gateway ends only behind it, and hangs up then.
	t.Cleanup(func() {
		gateway.Stop()
		hangs.Close()
	})
	if err := gateway.Reload(toldNode(hangs.URL + " {\n\t\t\ttimeout 30s\n\t\t}")); err != nil {
		t.Fatal(err)
	}
	revokeMany(t, gateway, "first", 1)
	<-begun
	revokeMany(t, gateway, "more", 300)
	awaitHooked(t, gateway, 0, 0, 300-256)
	if metrics := gateway.Metrics(); !strings.Contains(metrics, "caddy_gatehouse_events_dropped_total 0\n") {
		t.Error("a webhook that hangs has held up who emits events")
	}
	harness.Eventually(t, "the log says that events are lost", func() bool {
		return strings.Contains(gateway.Log(), "events do not get through to their webhook")
	})
}
