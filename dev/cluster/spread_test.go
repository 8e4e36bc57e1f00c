//go:build cluster

package cluster_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// What is revoked on one node is refused on the others, while callers keep all of them
// busy.
func TestRevocationSpreads(t *testing.T) {
	c := newCluster(t, 3)
	load := newCallers(t, newBalancer(t, c.nodes...), pick(8, 4), c.issueMany(50))
	eventually(t, "the nodes are busy", func() bool { return load.count() > 200 })

	var acknowledged, asked []time.Duration
	rounds := pick(400, 60)
	for round := range rounds {
		by := c.nodes[round%3]
		token := c.issue(nil)
		var watching sync.WaitGroup
		watches := make([]*watch, 0, 2)
		for _, each := range c.nodes {
			if each != by {
				watches = append(watches, newWatch(each, token))
			}
		}
		for _, each := range watches {
			watching.Go(each.work)
		}
		for _, each := range watches {
			<-each.accepted
		}
		by.mustRevoke(t, token)
		watching.Wait()
		for _, each := range watches {
			if each.fault != "" {
				t.Fatalf("%s: %s", each.node.name, each.fault)
			}
			acknowledged = append(acknowledged, max(0, each.since(token.acknowledged.Load())))
			asked = append(asked, each.since(token.asked.Load()))
		}
	}
	if most := slices.Max(acknowledged); most > spreadBound {
		t.Errorf("a revocation took %v to the other nodes", most)
	}
	tally := reckon(load.finish()).expect(t)
	figures.setf("revoked on one node, refused on the others: after the call began", "%s", spread(asked))
	figures.setf("the same, after it was acknowledged", "%s", spread(acknowledged))
	figures.setf("load meanwhile", "%d requests, %d failed", tally.requests, len(tally.failed))
}

// A watch sends one token to one node until it is refused.
type watch struct {
	node     *node
	token    *held
	accepted chan struct{} // closed when it was let in once
	refused  time.Time     // when the first refusal came
	fault    string
}

func newWatch(n *node, token *held) *watch {
	return &watch{node: n, token: token, accepted: make(chan struct{})}
}

func (w *watch) work() {
	client := &http.Client{Timeout: patience, Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	let := sync.OnceFunc(func() { close(w.accepted) })
	defer let()
	for begin := time.Now(); time.Since(begin) < patience; {
		status, err := send(client, w.node, w.token.text)
		switch {
		case err != nil && w.token.asked.Load() != 0: // cut off in the middle
		case err != nil:
			w.fault = err.Error()
			return
		case status == http.StatusOK:
			let()
		case status == http.StatusUnauthorized && w.token.asked.Load() != 0:
			w.refused = time.Now()
			return
		default:
			w.fault = http.StatusText(status)
			return
		}
		<-time.After(time.Millisecond)
	}
	w.fault = "the token is never refused"
}

// since is how long after an instant the first refusal came.
func (w *watch) since(nanoseconds int64) time.Duration {
	return time.Duration(w.refused.UnixNano() - nanoseconds)
}
