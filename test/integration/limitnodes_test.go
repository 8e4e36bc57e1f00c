package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const limitedNodes = `{
	gatehouse {
		seal "a secret of at least 32 bytes, for tests"
		store redis $REDIS {
			timeout $TIMEOUT
		}
	}
}
$SITE {
	token_limit {http.request.uri.query.who} 60 6h
	respond "in"
}
`

// Three gateways with one Redis count together: of 200 callers at once as many pass as
// the limit says, over all of them.
func TestLimitOverThreeNodes(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t, storetest.RedisOptions{})
	nodes := make([]*harness.Gateway, 3)
	for i := range nodes {
		nodes[i] = harness.Start(t, limitedNodes, "$REDIS", redis.URL(), "$TIMEOUT", "10s")
	}
	if passed := together(t, "", "/?who=a", nodes...); passed != 60 {
		t.Errorf("%d pass on three nodes, want 60", passed)
	}
	for _, node := range nodes {
		node.Get("/?who=a", "").Expect(t, http.StatusTooManyRequests)
		if alone := "caddy_gatehouse_limit_alone_total 0"; !strings.Contains(node.Metrics(), alone) {
			t.Errorf("the metrics lack %q: the node counted by itself", alone)
		}
	}
	if all := redis.CLI("keys", "*"); strings.Contains(all, "who") || !strings.Contains(all, "gatehouse:r:limit:") {
		t.Errorf("the names in Redis are %s", all)
	}
	// A node that comes later, or comes again, knows what was used up.
	late := harness.Start(t, limitedNodes, "$REDIS", redis.URL(), "$TIMEOUT", "10s")
	late.Get("/?who=a", "").Expect(t, http.StatusTooManyRequests)
	late.Get("/?who=b", "").Expect(t, http.StatusOK)
}

// Without Redis each node goes on by itself, never with a 5xx, and says so once; with it
// they go on where they were.
func TestLimitWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t, storetest.RedisOptions{AppendOnly: true})
	node := harness.Start(t, limitedNodes, "$REDIS", redis.URL(), "$TIMEOUT", "500ms")
	if passed := together(t, "", "/?who=a", node); passed < 60 {
		t.Fatalf("%d pass, want 60", passed)
	}
	redis.Kill()
	if passed := together(t, "", "/?who=b", node); passed != 60 {
		t.Errorf("%d pass on a node alone, want 60", passed)
	}
	harness.Eventually(t, "the log says that the node is alone", func() bool {
		return len(node.Lines("limits count on each node alone: the store does not answer")) > 0
	})
	if strings.Contains(node.Metrics(), "caddy_gatehouse_limit_alone_total 0") {
		t.Error("the metrics do not say that the node is alone")
	}
	redis.Restart()
	harness.Eventually(t, "the log says that the nodes are together again", func() bool {
		node.Get("/?who=c", "")
		return len(node.Lines("limits count on all nodes together again")) > 0
	})
	node.Get("/?who=a", "").Expect(t, http.StatusTooManyRequests) // as it was before
}
