//go:build cluster

package cluster_test

import "testing"

func TestSmoke(t *testing.T) {
	c := newCluster(t, 3, "$STORE", "", "\t\trevocation {\n\t\t\tmax_staleness $STALE\n\t\t}\n", "")
	b := newBalancer(t, c.nodes...)
	load := newCallers(t, b, 4, c.issueMany(20))
	for _, each := range c.nodes {
		b.drain(t, each)
		each.end(t)
		each.boot()
		b.admit(t, each)
	}
	for i, each := range c.nodes {
		each.sever(t)
		each.mend(t)
		insist(t, "reload", func() error { return each.reload(i+1) })
	}
	tally := reckon(load.finish()).expect(t)
	t.Log(tally.requests, load.retried.Load())
	s := newStream(t, c.nodes[0], c.issue(nil))
	_ = s
}
