//go:build cluster

package cluster_test

import (
	"testing"
	"time"
)

// Redis is killed and comes back with nothing: the nodes tell it what they know, so
// that a node which has just begun learns everything.
func TestRedisComesBackEmpty(t *testing.T) {
	c := newCluster(t, 3)
	good := c.issueMany(20)
	load := newCallers(t, newBalancer(t, c.nodes...), 4, good)
	revoked := c.issueMany(pick(500, 60))
	for number, each := range revoked {
		c.nodes[number%3].mustRevoke(t, each)
	}
	for _, each := range c.nodes {
		eventually(t, each.name+" knows all", func() bool { return each.listed(t) == len(revoked) })
	}

	c.redis.empty()
	begin := time.Now()
	eventually(t, "the nodes have told Redis what they know", func() bool { return c.redis.logged(t) >= len(revoked) })
	figures.setf("Redis back empty: the nodes have refilled it", "after %v (%d events)", time.Since(begin).Round(10*time.Millisecond), len(revoked))
	if logged := c.redis.logged(t); logged != len(revoked) {
		t.Errorf("Redis has %d events for %d revocations", logged, len(revoked))
	}
	late := c.issueMany(1)
	insist(t, "revoking again", func() error { return c.nodes[0].revoke(late[0]) })
	revoked = append(revoked, late...)

	fresh := c.add()
	fresh.boot()
	fresh.await()
	refused(t, revoked, c.nodes...)
	c.agree(t, len(revoked))
	reckon(load.finish()).expect(t)
}

// A Redis that is killed and comes back with its file has lost nothing, and neither has
// anybody noticed.
func TestRedisRestarts(t *testing.T) {
	c := newCluster(t, 2)
	load := newCallers(t, newBalancer(t, c.nodes...), 4, c.issueMany(20))
	revoked := c.issueMany(40)
	for number, each := range revoked {
		if number == 20 {
			c.redis.kill()
			c.redis.run()
		}
		insist(t, "revoking", func() error { return c.nodes[number%2].revoke(each) })
	}
	c.agree(t, len(revoked))
	refused(t, revoked, c.nodes...)
	reckon(load.finish()).expect(t)
}
