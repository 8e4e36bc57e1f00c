//go:build cluster

package cluster_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// callersAtOnce is how many send requests at the same time where a limit is to hold.
const callersAtOnce = 200

// A crowd sends requests with tokens to all nodes in turn, as fast as it gets answers.
type crowd struct {
	client  *http.Client
	nodes   []*node
	tokens  []*held
	running sync.WaitGroup
	stopped atomic.Bool

	mu      sync.Mutex
	answers []answer
}

// newCrowd starts callersAtOnce callers, each with one of the tokens. Each asks every
// node at least once, and goes on until disperse or the end of the test.
func newCrowd(tb testing.TB, nodes []*node, tokens ...*held) *crowd {
	tb.Helper()
	c := &crowd{
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: callersAtOnce}},
		nodes:  nodes, tokens: tokens,
	}
	begin := make(chan struct{})
	for number := range callersAtOnce {
		c.running.Go(func() {
			<-begin
			c.work(number)
		})
	}
	close(begin)
	tb.Cleanup(func() { c.disperse() })
	return c
}

func (c *crowd) work(number int) {
	with := c.tokens[number%len(c.tokens)]
	for round := 0; round < len(c.nodes) || !c.stopped.Load(); round++ {
		got := answer{begin: time.Now(), held: with, node: c.nodes[(number/len(c.tokens)+round)%len(c.nodes)]}
		got.status, got.fault = send(c.client, got.node, with.text)
		got.end = time.Now()
		c.mu.Lock()
		c.answers = append(c.answers, got)
		c.mu.Unlock()
	}
}

// disperse lets each caller finish, and returns all answers.
func (c *crowd) disperse() []answer {
	c.stopped.Store(true)
	c.running.Wait()
	c.client.CloseIdleConnections()
	return c.answers
}

// let is how many requests have passed so far, and how many answers there are.
func (c *crowd) let() (passed, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, got := range c.answers {
		if got.status == http.StatusOK {
			passed++
		}
	}
	return passed, len(c.answers)
}

// reach waits until so many have passed, and all callers have then asked in vain.
func (c *crowd) reach(tb testing.TB, want int) {
	tb.Helper()
	var asked int
	eventually(tb, fmt.Sprintf("%d requests pass", want), func() bool {
		passed, all := c.let()
		asked = all
		return passed >= want
	})
	eventually(tb, "callers go on", func() bool {
		_, all := c.let()
		return all > asked+2*callersAtOnce
	})
}

// counted says how many requests with each token passed. Whatever is neither let in nor
// refused by a limit fails the test.
func counted(tb testing.TB, answers []answer) map[*held]int {
	tb.Helper()
	passed, strange := make(map[*held]int), []string(nil)
	for _, got := range answers {
		switch got.status {
		case http.StatusOK:
			passed[got.held]++
		case http.StatusTooManyRequests:
		default:
			strange = append(strange, "\n\t"+got.String())
		}
	}
	if len(strange) > 0 {
		tb.Errorf("%d of %d answers are neither 200 nor 429:%s", len(strange), len(answers), strings.Join(strange[:min(10, len(strange))], ""))
	}
	return passed
}

// slowest is the longest that anybody waited.
func slowest(answers []answer) time.Duration {
	var longest time.Duration
	for _, got := range answers {
		longest = max(longest, got.end.Sub(got.begin))
	}
	return longest.Round(time.Millisecond)
}

// alone is how many requests a node has counted by itself, as its metrics say.
func (n *node) alone(tb testing.TB) (count int) {
	tb.Helper()
	status, said, err := n.call(http.MethodGet, "/metrics", "", nil)
	if err != nil || status != http.StatusOK {
		tb.Fatalf("%s: status %d, %v", n.name, status, err)
	}
	const name = "\ncaddy_gatehouse_limit_alone_total "
	_, rest, found := strings.Cut(said, name)
	if _, err := fmt.Sscan(rest, &count); !found || err != nil {
		tb.Fatalf("%s has no metric%s", n.name, name)
	}
	return count
}
