//go:build cluster

package cluster_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An answer is what one request came to.
type answer struct {
	begin, end time.Time
	node       *node
	held       *held
	status     int // 0: none came
	fault      error
}

// callers send requests with tokens to all nodes, and keep every answer.
type callers struct {
	balancer *balancer
	client   *http.Client
	stop     chan struct{}
	once     sync.Once
	running  sync.WaitGroup
	retried  atomic.Int64

	mu      sync.Mutex
	tokens  []*held // good ones
	others  []*held // in callers' hands as well, and revoked some time
	answers []answer
}

// pace is how long a caller waits between two requests.
const pace = 10 * time.Millisecond

// newCallers starts so many, with these tokens. They end with the test or finish.
func newCallers(tb testing.TB, b *balancer, number int, tokens []*held) *callers {
	tb.Helper()
	c := &callers{
		balancer: b, tokens: slices.Clone(tokens), stop: make(chan struct{}),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: number}},
	}
	for range number {
		c.running.Go(c.work)
	}
	tb.Cleanup(func() { c.finish() })
	return c
}

func (c *callers) work() {
	for {
		wait := time.NewTimer(pace/2 + rand.N(pace))
		select {
		case <-c.stop:
			wait.Stop()
			return
		case <-wait.C:
		}
		got := c.request()
		c.mu.Lock()
		c.answers = append(c.answers, got)
		c.mu.Unlock()
	}
}

// pick is a token to send: every third time one that is revoked some time.
func (c *callers) pick() *held {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.others) > 0 && rand.N(3) == 0 {
		return c.others[rand.N(len(c.others))]
	}
	return c.tokens[rand.N(len(c.tokens))]
}

// hand puts one more token into callers' hands.
func (c *callers) hand(token *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others = append(c.others, token)
}

// request sends one. Where a node closes the connection unanswered, or cannot tell at the
// moment (503), the request goes to another one, once, as balancers have it
// (proxy_next_upstream, lb_retries).
func (c *callers) request() answer {
	with := c.pick()
	got := answer{begin: time.Now(), held: with, fault: errNoNode}
	for attempt := range 2 {
		next, done := c.balancer.choose(got.node)
		if next == nil {
			break
		}
		c.retried.Add(int64(attempt))
		got = answer{begin: time.Now(), node: next, held: with}
		got.status, got.fault = send(c.client, next, with.text)
		done()
		if got.fault == nil && got.status != http.StatusServiceUnavailable {
			break
		}
	}
	got.end = time.Now()
	return got
}

var errNoNode = errors.New("no node is ready")

// send is one request over kept connections.
func send(client *http.Client, to *node, token string) (int, error) {
	request, err := http.NewRequest(http.MethodGet, to.url+"/orders/1", http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	reply, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = reply.Body.Close() }()
	_, err = io.Copy(io.Discard, reply.Body)
	return reply.StatusCode, err
}

// finish ends them and returns all answers.
func (c *callers) finish() []answer {
	c.once.Do(func() { close(c.stop) })
	c.running.Wait()
	c.client.CloseIdleConnections()
	return c.answers
}

// count is how many answers there are so far.
func (c *callers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.answers)
}
