//go:build cluster

package cluster_test

import (
	"net/http"
	"testing"
	"time"
)

// A node that cannot reach Redis answers 503 once its list is older than its bound, or
// goes on where it is told to; the others notice nothing. When it is back it knows all
// that it missed.
func TestSeveredFromRedis(t *testing.T) {
	const bound = 3 * time.Second
	c := emptyCluster(t)
	whole, closed, open := c.add("$STALE", "3s closed"), c.add("$STALE", "3s closed"), c.add("$STALE", "3s open")
	for _, each := range c.nodes {
		each.boot()
	}
	for _, each := range c.nodes {
		each.await()
	}
	good := c.issueMany(20)
	spared := newCallers(t, blindly(whole), 2, good)
	going := newCallers(t, blindly(open), 2, good)
	shunning := newCallers(t, newBalancer(t, whole, closed), 2, good)
	before := c.issueMany(pick(200, 40))
	for _, each := range before {
		closed.mustRevoke(t, each)
	}
	eventually(t, "all know the same", func() bool { return whole.listed(t) == len(before) && open.listed(t) == len(before) })

	severed := time.Now()
	closed.sever(t)
	open.sever(t)
	missed := c.issueMany(pick(200, 40))
	for _, each := range missed {
		whole.mustRevoke(t, each)
	}
	eventually(t, "the severed node says 503", func() bool { return closed.ask("/orders/1", good[0].text) == http.StatusServiceUnavailable })
	took := time.Since(severed)
	figures.setf("severed from Redis with max_staleness 3s closed: answers 503", "after %v", took.Round(10*time.Millisecond))
	if took < bound/2 {
		t.Errorf("it stopped after %v, though its bound is %v", took, bound)
	}
	if closed.ready() {
		t.Error("a node that answers 503 says that it is ready")
	}
	if status := open.ask("/orders/1", good[0].text); status != http.StatusOK {
		t.Errorf("the severed node that is to go on answers %d", status)
	}
	if status := open.ask("/orders/1", before[0].text); status != http.StatusUnauthorized {
		t.Errorf("it answers %d to a token whose revocation it knows", status)
	}
	alone := c.issueMany(1)
	lonely := closed.revoke(alone[0])
	answered := spared.count()
	eventually(t, "the others go on", func() bool { return spared.count() > answered+50 })

	begin := time.Now()
	closed.mend(t)
	open.mend(t)
	closed.await()
	want := len(before) + len(missed)
	if lonely == nil { // acknowledged is acknowledged
		missed = append(missed, alone...)
		want++
	}
	eventually(t, "they catch up", func() bool { return closed.listed(t) >= want && open.listed(t) >= want })
	figures.setf("healed: ready again with everything it missed", "after %v (%d events missed)", time.Since(begin).Round(10*time.Millisecond), len(missed))
	refused(t, append(before, missed...), c.nodes...)
	c.agree(t, want)
	for _, each := range []*callers{spared, going, shunning} {
		reckon(each.finish()).expect(t)
	}
}
