//go:build cluster

package cluster_test

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A single node without Redis writes what it is told into its own file. It is killed in
// the middle of that, again and again, and forgets nothing that it acknowledged.
func TestKilledWhileRevoking(t *testing.T) {
	c := &cluster{issuer: newIssuer(t), tb: t, world: newWorld(t)}
	single := c.add("$STORE", "store memory")
	var acknowledged []*held
	var calls, slowest int
	rounds := pick(40, 6)
	for range rounds {
		single.boot()
		single.await()
		if known := single.listed(t); known < len(acknowledged) {
			t.Fatalf("the node knows %d revocations, and has acknowledged %d", known, len(acknowledged))
		}
		refused(t, acknowledged[max(0, len(acknowledged)-slowest):], single)
		made := hammer(c.issuer, single, 10*time.Millisecond+rand.N(200*time.Millisecond))
		slowest = 0
		for _, each := range made {
			calls++
			if each.acknowledged.Load() != 0 {
				acknowledged = append(acknowledged, each)
				slowest++
			}
		}
	}
	single.boot()
	single.await()
	refused(t, acknowledged, single)
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged at all")
	}
	figures.setf("one node without Redis, killed while revoking", "%d times; %d of %d revocations were acknowledged, 0 lost", rounds, len(acknowledged), calls)
}

// hammer revokes on a node as fast as four can, until the node is killed after that
// time. It returns every token that it tried.
func hammer(from *issuer, n *node, after time.Duration) []*held {
	type done struct{ tokens []*held }
	results := make(chan done)
	for range 4 {
		go func() {
			var mine done
			for {
				token := from.issue(nil)
				mine.tokens = append(mine.tokens, token)
				if n.revoke(token) != nil {
					break
				}
			}
			results <- mine
		}()
	}
	<-time.After(after)
	n.kill()
	var all []*held
	for range 4 {
		all = append(all, (<-results).tokens...)
	}
	return all
}
