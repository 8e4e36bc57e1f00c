//go:build cluster

package cluster_test

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// A balancer sends requests to the nodes that say they are ready, in turn.
type balancer struct {
	// blind takes every node, ready or not.
	blind bool

	mu    sync.Mutex
	nodes []*node
	in    map[*node]bool // ready when it was last asked
	out   map[*node]bool // taken out by the operator
	busy  map[*node]int
	next  int
}

// newBalancer asks the nodes whether they are ready until the test ends.
func newBalancer(tb testing.TB, nodes ...*node) *balancer {
	tb.Helper()
	b := &balancer{nodes: nodes, in: make(map[*node]bool), out: make(map[*node]bool), busy: make(map[*node]int)}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	for _, each := range nodes {
		b.in[each] = each.ready()
		watching.Go(func() { b.watch(each, stop) })
	}
	tb.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return b
}

// blindly is a balancer that asks nobody.
func blindly(nodes ...*node) *balancer {
	return &balancer{nodes: nodes, blind: true, busy: make(map[*node]int)}
}

func (b *balancer) watch(n *node, stop chan struct{}) {
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
		b.mu.Lock()
		out := b.out[n]
		b.mu.Unlock()
		ready := !out && n.ready()
		b.mu.Lock()
		b.in[n] = ready
		b.mu.Unlock()
	}
}

// choose returns a node, and what to call when the request is over. It prefers another
// one than that which has just failed.
func (b *balancer) choose(not *node) (chosen *node, done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.nodes {
		b.next++
		each := b.nodes[b.next%len(b.nodes)]
		if each != not && (b.blind || b.in[each] && !b.out[each]) {
			chosen = each
			break
		}
	}
	if chosen == nil {
		return nil, nil
	}
	b.busy[chosen]++
	return chosen, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.busy[chosen]--
	}
}

// drain takes a node out and waits until nobody waits for it.
func (b *balancer) drain(tb testing.TB, n *node) {
	tb.Helper()
	b.mu.Lock()
	b.out[n] = true
	b.in[n] = false
	b.mu.Unlock()
	eventually(tb, n.name+" is drained", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.busy[n] == 0
	})
}

// admit puts it back, and waits until it is ready.
func (b *balancer) admit(tb testing.TB, n *node) {
	tb.Helper()
	b.mu.Lock()
	delete(b.out, n)
	b.mu.Unlock()
	eventually(tb, n.name+" is ready again", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.in[n]
	})
}

// ready are the nodes that a balancer would choose from.
func (b *balancer) ready() []*node {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.nodes), func(n *node) bool { return !b.in[n] || b.out[n] })
}
