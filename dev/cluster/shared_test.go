//go:build cluster

package cluster_test

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A DPoP proof that one node has seen is a replay at every other one, however close
// together they come.
func TestProofsCountOnce(t *testing.T) {
	c := newCluster(t, 3)
	holder := harness.NewHolder(t)
	token := c.issue(map[string]any{"cnf": holder.Binding()})
	passed := func(proof string, n *node) bool {
		request, err := http.NewRequest(http.MethodGet, n.url+"/orders/1", http.NoBody)
		if err != nil {
			t.Error(err)
			return false
		}
		request.Header["Authorization"] = []string{"DPoP " + token.text}
		request.Header["Dpop"] = []string{proof}
		answer, err := direct.Do(request)
		if err != nil {
			t.Error(err)
			return false
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answers %d to a proof", n.name, answer.StatusCode)
		}
		return answer.StatusCode == http.StatusOK
	}
	prove := func() string { return holder.Proof(http.MethodGet, audience+"/orders/1", token.text, "") }

	replayed := prove()
	if !passed(replayed, c.nodes[0]) || passed(replayed, c.nodes[1]) || passed(replayed, c.nodes[2]) {
		t.Error("a proof that one node took is taken by another one")
	}
	rounds := pick(200, 40)
	for range rounds {
		proof := prove()
		results := make([]bool, len(c.nodes))
		var sending sync.WaitGroup
		for number, each := range c.nodes {
			sending.Go(func() { results[number] = passed(proof, each) })
		}
		sending.Wait()
		if count := len(slices.DeleteFunc(results, func(ok bool) bool { return !ok })); count != 1 {
			t.Fatalf("a proof sent to three nodes at once was taken %d times", count)
		}
	}
	figures.setf("one DPoP proof sent to three nodes at once", "taken once each time (of %d)", rounds)
}

// Streams of a revoked token end on every node, and others go on.
func TestStreamsEnd(t *testing.T) {
	c := newCluster(t, 3)
	token, other := c.issue(nil), c.issue(nil)
	var open []*stream
	for _, each := range c.nodes {
		open = append(open, newStream(t, each, token))
	}
	spared := newStream(t, c.nodes[1], other)
	c.nodes[0].mustRevoke(t, token)
	begin := time.Now()
	var took time.Duration
	for _, each := range open {
		select {
		case <-each.ended:
			took = max(took, time.Since(begin))
		case <-time.After(patience):
			t.Fatalf("a stream of a revoked token goes on at %s", each.node.name)
		}
	}
	select {
	case <-spared.ended:
		t.Error("a stream of another token has ended as well")
	default:
	}
	eventually(t, "the upstream's side has ended too", func() bool { return c.world.ended.Load() == 3 })
	figures.setf("streams of a token that is revoked on one node", "ended on all three after %v", took.Round(10*time.Microsecond))
	if took > 5*time.Second {
		t.Errorf("the streams went on for %v", took)
	}
}

// A stream is an answer that does not end by itself.
type stream struct {
	node  *node
	ended chan struct{}
}

// newStream opens one and waits for its first bytes.
func newStream(tb testing.TB, n *node, token *held) *stream {
	tb.Helper()
	request, err := http.NewRequest(http.MethodGet, n.url+"/stream", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.text)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = answer.Body.Close() })
	if _, err := io.ReadFull(answer.Body, make([]byte, 5)); answer.StatusCode != http.StatusOK || err != nil {
		tb.Fatalf("a stream at %s: status %d, %v", n.name, answer.StatusCode, err)
	}
	s := &stream{node: n, ended: make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.Discard, answer.Body)
		close(s.ended)
	}()
	return s
}
