//go:build cluster

package cluster_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// short chooses fewer rounds: `make cluster SHORT=1`.
var short = os.Getenv("GATEHOUSE_CLUSTER_SHORT") != ""

// pick chooses a size for a whole and for a short run.
func pick(whole, less int) int {
	if short {
		return less
	}
	return whole
}

// A cluster is some nodes with one Redis.
type cluster struct {
	*issuer

	tb    testing.TB
	shown certificate
	redis *redis
	world *world
	nodes []*node
}

// The Caddyfile of a node. $REVOCATION, $STORE and $MORE are a test's own.
const caddyfile = `{
	admin $ADMIN {
		origins $ADMIN
	}
	default_bind $HOST
	persist_config off
	grace_period 10s
	gatehouse {
		issuer main ` + issuerURL + ` {
			jwks $KEYS
			audience ` + audience + `
		}
		sign {
			issuer https://gateway.cluster.example
		}
		seal cluster-canary-seal-of-more-than-32-bytes
		revocation {
			max_staleness $STALE
		}
		$STORE
	}
}
$SITE {
	respond /generation 0
	token_service {
		endpoints ready
	}
	token_auth main {
		public_url ` + audience + `
	}
	reverse_proxy $UPSTREAM
}
`

// storeRedis is the block that shares what nodes know.
const storeRedis = `store redis rediss://$REDIS {
			password ` + redisPassword + `
			tls $CA
		}`

// emptyCluster starts Redis alone.
func emptyCluster(tb testing.TB) *cluster {
	tb.Helper()
	shown := newCertificate(tb)
	return &cluster{issuer: newIssuer(tb), tb: tb, shown: shown, redis: startRedis(tb, shown), world: newWorld(tb)}
}

// newCluster starts Redis and so many nodes, and waits until they are ready.
func newCluster(tb testing.TB, number int, pairs ...string) *cluster {
	tb.Helper()
	c := emptyCluster(tb)
	for range number {
		c.add(pairs...).boot()
	}
	for _, each := range c.nodes {
		each.await()
	}
	return c
}

// add makes one more node, which does not run yet. Pairs are replaced in its
// Caddyfile before all else.
func (c *cluster) add(pairs ...string) *node {
	c.tb.Helper()
	name := fmt.Sprintf("node %d", len(c.nodes)+1)
	text := strings.NewReplacer(pairs...).Replace(caddyfile)
	text = strings.ReplaceAll(text, "$STORE", storeRedis)
	text = strings.NewReplacer("$STALE", "30s closed", "$KEYS", c.issuer.file, "$CA", c.shown.file, "$UPSTREAM", c.world.upstream).Replace(text)
	made := newNode(c.tb, name, text, func(m *machine, text string) string {
		if c.redis == nil {
			return text
		}
		return strings.ReplaceAll(text, "$REDIS", m.route(c.tb, c.redis.address))
	})
	c.nodes = append(c.nodes, made)
	return made
}

// agree waits until all nodes know equally many revocations, at least so many: a call
// that failed may have revoked as well.
func (c *cluster) agree(tb testing.TB, atLeast int) {
	tb.Helper()
	insist(tb, "all nodes know the same", func() error {
		var counts []int
		for _, each := range c.nodes {
			counts = append(counts, each.listed(tb))
		}
		if slices.Min(counts) != slices.Max(counts) || counts[0] < atLeast {
			return fmt.Errorf("they know %v revocations, and %d were acknowledged", counts, atLeast)
		}
		return nil
	})
}

// refused expects that each of the tokens is refused on each of the nodes.
func refused(tb testing.TB, tokens []*held, nodes ...*node) {
	tb.Helper()
	for _, each := range nodes {
		var let []string
		for _, token := range tokens {
			if status := each.ask("/orders/1", token.text); status != http.StatusUnauthorized {
				let = append(let, fmt.Sprintf("%s (status %d)", token.jti, status))
			}
		}
		if len(let) > 0 {
			tb.Errorf("%s did not refuse %d of %d revoked tokens: %s", each.name, len(let), len(tokens), strings.Join(let[:min(10, len(let))], ", "))
		}
	}
}
