//go:build cluster

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A node with very many revocations checks tokens as fast as one with none, and a node
// that has just begun learns all of them before it serves.
func TestManyRevocations(t *testing.T) {
	c := newCluster(t, 2)
	number := pick(1_000_000, 20_000)
	token := c.issue(nil)
	idle := c.nodes[1].memory(t)
	before := c.nodes[1].latency(t, token)

	took, again := c.fill(t, c.nodes[0], number)
	figures.setf("revocations through one node's admin API", "%.0f a second (%d in batches of 1000, four at once; %d ordered again)",
		float64(number)/took.Seconds(), number, again)
	eventually(t, "the other node knows all", func() bool { return c.nodes[1].listed(t) >= number })
	grown := c.nodes[1].memory(t) - idle
	figures.setf(fmt.Sprintf("a node's memory with %d revocations", number), "%d MiB more, %d bytes each", grown>>20, grown/number)
	figures.setf("a request to a node, before", "%s", before)
	figures.setf(fmt.Sprintf("a request to a node with %d revocations", number), "%s", c.nodes[1].latency(t, token))

	fresh := c.add()
	fresh.boot()
	took = fresh.await()
	if known := fresh.listed(t); known < number {
		t.Errorf("a node says that it is ready and knows %d of %d revocations", known, number)
	}
	figures.setf(fmt.Sprintf("a fresh node is ready with %d revocations", number), "after %v", took.Round(10*time.Millisecond))

	c.redis.empty()
	begin := time.Now()
	grows(t, "Redis has them again", number, func() int { return c.redis.logged(t) })
	figures.setf(fmt.Sprintf("Redis back empty: refilled with %d", number), "after %v", time.Since(begin).Round(10*time.Millisecond))
}

// fill revokes so many tokens that nobody has, a thousand in a call and four calls at
// once. What the store did not take in time is ordered again, as the answer asks for.
func (c *cluster) fill(tb testing.TB, at *node, number int) (took time.Duration, again int64) {
	tb.Helper()
	const batch = 1000
	begin := time.Now()
	var next, repeated atomic.Int64
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			for {
				from := int(next.Add(batch)) - batch
				if from >= number {
					return
				}
				var orders []string
				for each := from; each < min(number, from+batch); each++ {
					orders = append(orders, fmt.Sprintf(`{"kind":"jti","issuer":"main","value":"nobody-%d"}`, each))
				}
				for begin := time.Now(); len(orders) > 0; {
					var err error
					if orders, err = at.order(orders); err != nil || time.Since(begin) > patience {
						tb.Errorf("%d orders were not taken: %v", len(orders), err)
						return
					}
					repeated.Add(int64(len(orders)))
				}
			}
		})
	}
	working.Wait()
	return time.Since(begin), repeated.Load()
}

// order gives orders to revoke, and returns those that the store did not take.
func (n *node) order(orders []string) (failed []string, err error) {
	status, said, err := n.call(http.MethodPost, "/gatehouse/revocations", "application/json", []byte(strings.Join(orders, "\n")))
	if err != nil || status == http.StatusOK {
		return nil, err
	}
	var outcome struct{ Failed []struct{ Order int } }
	if err := json.Unmarshal([]byte(said), &outcome); err != nil || status != http.StatusServiceUnavailable || len(outcome.Failed) == 0 {
		return orders, fmt.Errorf("status %d: %.300s", status, said)
	}
	for _, each := range outcome.Failed {
		failed = append(failed, orders[each.Order-1])
	}
	return failed, nil
}

// latency sends some requests, one after the other.
func (n *node) latency(tb testing.TB, token *held) string {
	tb.Helper()
	client := &http.Client{Timeout: patience, Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	sample := make([]time.Duration, pick(5000, 1000))
	for i := range sample {
		begin := time.Now()
		if status, err := send(client, n, token.text); err != nil || status != http.StatusOK {
			tb.Fatalf("%s: status %d, %v", n.name, status, err)
		}
		sample[i] = time.Since(begin)
	}
	return spread(sample)
}

// memory is what the node's process has in memory, in bytes.
func (n *node) memory(tb testing.TB) int {
	tb.Helper()
	return n.metric(tb, "process_resident_memory_bytes")
}

var metricForm = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{[^}]*\})? ([0-9.e+]+)$`)

// metric is one number of the node's.
func (n *node) metric(tb testing.TB, name string) int {
	tb.Helper()
	_, text, err := n.call(http.MethodGet, "/metrics", "", nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range metricForm.FindAllStringSubmatch(text, -1) {
		if line[1] == name {
			value, err := strconv.ParseFloat(line[2], 64)
			if err != nil {
				tb.Fatal(err)
			}
			return int(value)
		}
	}
	tb.Fatalf("%s has no metric %s", n.name, name)
	return 0
}
