package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const secondCaddyfile = `{
	metrics
	gatehouse {
		seal $SEAL
		store redis $REDIS
` + harness.MainAndClient + harness.Orders + `	}
}
$SITE {
	token_auth main
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

// A cluster is nodes with one Redis, one authorization server and one upstream.
type cluster struct {
	t        *testing.T
	redis    *storetest.Redis
	idp      *harness.AuthServer
	upstream *harness.Upstream
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{
		t: t, redis: storetest.StartRedis(t, storetest.RedisOptions{}),
		idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t),
	}
}

const (
	oneSeal     = "0123456789abcdef0123456789abcdef-canary"
	anotherSeal = "fedcba9876543210fedcba9876543210-canary"
)

func (c *cluster) start(seal string) *harness.Gateway {
	c.t.Helper()
	return harness.Start(c.t, secondCaddyfile, "$SEAL", seal, "$REDIS", c.redis.URL(), "$IDP", c.idp.URL, "$UPSTREAM", c.upstream.Address)
}

// shared are the names under which exchanged tokens lie in Redis.
func (c *cluster) shared() []string {
	return strings.Fields(c.redis.CLI("keys", "gatehouse:v:exchanged:*"))
}

func (c *cluster) awaitShared(count int) {
	c.t.Helper()
	harness.Eventually(c.t, "Redis holds so many exchanged tokens", func() bool { return len(c.shared()) == count })
}

func (c *cluster) wantCalls(count int) {
	c.t.Helper()
	if calls := len(c.idp.Forms()); calls != count {
		c.t.Errorf("the authorization server was asked %d times, want %d", calls, count)
	}
}

// What one node got serves on another one, and a revocation ends it on both and in
// Redis.
func TestExchangedTokensAreShared(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one, two := c.start(oneSeal), c.start(oneSeal)
	alice, bob := c.idp.Token(map[string]any{"sub": "alice"}), c.idp.Token(map[string]any{"sub": "bob"})
	one.Await("/1", alice, http.StatusOK)
	one.Get("/1", bob).Expect(t, http.StatusOK)
	c.awaitShared(2)
	two.Await("/1", alice, http.StatusOK)
	two.Get("/1", alice).Expect(t, http.StatusOK)
	c.wantCalls(2)
	for _, want := range []string{
		`caddy_gatehouse_exchange_shared_total{exchange="orders",outcome="hit"} 1`,
		`caddy_gatehouse_store_unreadable_total{kind="value"} 0`,
	} {
		if metrics := two.Metrics(); !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s:\n%s", want, metrics)
		}
	}
	revokeSubject(t, one, c.idp, "alice")
	c.awaitShared(1)
	harness.Eventually(t, "the other node refuses the revoked token", func() bool {
		return two.Get("/1", alice).Status == http.StatusUnauthorized
	})
	two.Get("/1", bob).Expect(t, http.StatusOK)
	c.wantCalls(2)
}

// A node that is started anew asks for nothing that another one has.
func TestExchangedTokensOutliveTheirNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	alice := c.idp.Token(nil)
	one := c.start(oneSeal)
	one.Await("/1", alice, http.StatusOK)
	c.awaitShared(1)
	one.Kill()
	c.start(oneSeal).Await("/1", alice, http.StatusOK)
	c.wantCalls(1)
}

// With Redis gone or silent each node goes on by itself, and nobody waits long.
func TestExchangesGoOnWithoutRedis(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one := c.start(oneSeal)
	one.Await("/1", c.idp.Token(nil), http.StatusOK)
	c.awaitShared(1)
	for _, name := range []string{"silent", "gone"} {
		if name == "silent" {
			c.redis.Freeze()
		} else {
			c.redis.Kill()
		}
		began := time.Now()
		for _, subject := range []string{"a", "b", "c", "d"} {
			one.Get("/1", c.idp.Token(map[string]any{"sub": subject + name})).Expect(t, http.StatusOK)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: four exchanges took %v", name, took)
		}
		c.redis.Thaw()
	}
	c.wantCalls(9)
}

// What somebody has changed in Redis counts as not there, and is counted.
func TestExchangedTokensAreSealed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	alice := c.idp.Token(nil)
	c.start(oneSeal).Await("/1", alice, http.StatusOK)
	c.awaitShared(1)
	name := c.shared()[0]
	if length := c.redis.CLI("setrange", name, "60", "tampered"); strings.TrimSpace(length) == "" {
		t.Fatal("nothing was changed")
	}
	two := c.start(oneSeal)
	two.Await("/1", alice, http.StatusOK)
	c.wantCalls(2)
	if metrics := two.Metrics(); !strings.Contains(metrics, `caddy_gatehouse_store_unreadable_total{kind="value"} 1`) {
		t.Errorf("it is not counted:\n%s", metrics)
	}
}

// A node with another secret finds nothing.
func TestExchangedTokensAreOfASeal(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	alice := c.idp.Token(nil)
	c.start(oneSeal).Await("/1", alice, http.StatusOK)
	c.awaitShared(1)
	c.start(anotherSeal).Await("/1", alice, http.StatusOK)
	c.wantCalls(2)
	c.awaitShared(2)
}
