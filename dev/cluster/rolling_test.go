//go:build cluster

package cluster_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Every node is restarted and reloaded, one after the other, while callers use them and
// tokens are revoked. A balancer takes a node out before it is stopped, and back in when
// it says that it is ready.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, 3)
	spread := newBalancer(t, c.nodes...)
	load := newCallers(t, spread, pick(8, 4), c.issueMany(100))
	revoking := newRevoker(t, c, spread, load)
	for range pick(3, 1) {
		for _, each := range c.nodes {
			spread.drain(t, each)
			each.end(t)
			each.boot()
			spread.admit(t, each)
			answered := load.count()
			eventually(t, "requests go on", func() bool { return load.count() > answered+100 })
		}
	}
	revoked := revoking.finish()
	tally := reckon(load.finish()).expect(t)
	figures.setf("rolling restart of three nodes", "%d requests, %d failed; %d tokens revoked, let in past %v: %d (the latest %v after it was acknowledged)",
		tally.requests, len(tally.failed), len(revoked), spreadBound, len(tally.lost), tally.latest().Round(time.Millisecond))
	refused(t, revoked, c.nodes...)
	c.agree(t, len(revoked))
}

// A reload needs no balancer to know of it.
func TestRollingReload(t *testing.T) {
	c := newCluster(t, 3)
	spread := newBalancer(t, c.nodes...)
	load := newCallers(t, spread, pick(8, 4), c.issueMany(100))
	revoking := newRevoker(t, c, spread, load)
	for round := range pick(10, 3) {
		for _, each := range c.nodes {
			insist(t, "reloading "+each.name, func() error { return each.reload(round + 1) })
			answered := load.count()
			eventually(t, "requests go on", func() bool { return load.count() > answered+30 })
		}
	}
	revoked := revoking.finish()
	tally := reckon(load.finish()).expect(t)
	figures.setf("rolling reload of three nodes", "%d requests, %d failed (%d sent once more); %d tokens revoked, let in past %v: %d (the latest %v after it was acknowledged)",
		tally.requests, len(tally.failed), load.retried.Load(), len(revoked), spreadBound, len(tally.lost), tally.latest().Round(time.Millisecond))
	refused(t, revoked, c.nodes...)
	c.agree(t, len(revoked))
}

// A node that dies without a word costs no caller an answer where the balancer sends a
// request that got none to another node, and loses no revocation.
func TestNodeKilled(t *testing.T) {
	c := newCluster(t, 3)
	spread := newBalancer(t, c.nodes...)
	load := newCallers(t, spread, 4, c.issueMany(50))
	revoking := newRevoker(t, c, spread, load)
	for range pick(5, 2) {
		each := c.nodes[rand.N(3)]
		each.kill()
		each.boot()
		each.await()
		answered := load.count()
		eventually(t, "requests go on", func() bool { return load.count() > answered+50 })
	}
	revoked := revoking.finish()
	tally := reckon(load.finish()).expect(t)
	figures.setf("nodes killed", "%d requests, %d failed (%d sent once more); %d tokens revoked, let in past %v: %d",
		tally.requests, len(tally.failed), load.retried.Load(), len(revoked), spreadBound, len(tally.lost))
	refused(t, revoked, c.nodes...)
	c.agree(t, len(revoked))
}

// A revoker puts tokens into callers' hands and revokes them, on one ready node after
// another.
type revoker struct {
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
	revoked []*held
}

func newRevoker(tb testing.TB, c *cluster, from *balancer, load *callers) *revoker {
	tb.Helper()
	r := &revoker{stop: make(chan struct{})}
	r.running.Go(func() {
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-r.stop:
				return
			case <-ticks.C:
			}
			token := c.issue(nil)
			load.hand(token)
			if r.somewhere(from, token) == nil { // else nobody knows whether it is revoked
				r.revoked = append(r.revoked, token)
			}
		}
	})
	tb.Cleanup(func() { r.finish() })
	return r
}

// somewhere revokes a token that callers already use on a node that is ready, on another
// one if that fails.
func (r *revoker) somewhere(from *balancer, token *held) error {
	err := errNoNode
	for range 5 {
		ready := from.ready()
		if len(ready) == 0 {
			return err
		}
		if err = ready[rand.N(len(ready))].revoke(token); err == nil {
			return nil
		}
	}
	return err
}

// finish ends it and returns the tokens whose revocation was acknowledged.
func (r *revoker) finish() []*held {
	r.once.Do(func() { close(r.stop) })
	r.running.Wait()
	return r.revoked
}
