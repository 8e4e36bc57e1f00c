//go:build cluster

package cluster_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// burst is how many requests a limit lets pass at once; what comes back in the
	// window of the first limit is nothing during a test.
	burst = 60
	// interval is how long the steady limit takes to give one request back.
	interval = time.Second

	limits = "token_limit {http.auth.user.subject} 60 6h {\n\t\twhen plan steady 60 1m\n\t}\n\treverse_proxy"
)

// limited are nodes with one limit, which they count in Redis.
func limited(tb testing.TB, timeout string) *cluster {
	tb.Helper()
	store := storeRedis[:len(storeRedis)-1] + "\ttimeout " + timeout + "\n\t\t}"
	return newCluster(tb, 3, "reverse_proxy", limits, "$STORE", store, "$STALE", "5m closed")
}

// Of 200 callers at once on three nodes exactly as many pass as the limit says, with one
// key and with many.
func TestLimitsHold(t *testing.T) {
	c := limited(t, "10s")
	rounds := pick(20, 3)
	for _, keys := range []int{1, 8} {
		requests := 0
		for range rounds {
			tokens := c.issueMany(keys)
			answers := newCrowd(t, c.nodes, tokens...).disperse()
			requests += len(answers)
			passed := counted(t, answers)
			for _, each := range tokens {
				if passed[each] != burst {
					t.Errorf("%d requests of one of %d keys passed, the limit is %d", passed[each], keys, burst)
				}
			}
		}
		figures.setf("200 callers at once on three nodes, "+strconv.Itoa(keys)+" key(s) with 60 requests each",
			"exactly 60 passed for each key, each time (of %d), of %d requests", rounds, requests)
	}
	for _, each := range c.nodes {
		if count := each.alone(t); count != 0 {
			t.Errorf("%s counted %d requests by itself", each.name, count)
		}
	}
}

// While callers go on asking, what comes back with time is let in, once over all nodes:
// the burst and one request in each interval since the first.
func TestLimitsRefill(t *testing.T) {
	c := limited(t, "10s")
	token := c.issue(map[string]any{"plan": "steady"})
	callers := newCrowd(t, c.nodes, token)
	<-time.After(time.Duration(pick(30, 5)) * interval)
	answers := callers.disperse()
	passed := counted(t, answers)[token]
	lasted := times(answers)
	least, most := burst+int(lasted[0]/interval), burst+int(lasted[1]/interval)
	if passed < least || passed > most {
		t.Errorf("%d passed in %v to %v, want %d to %d", passed, lasted[0], lasted[1], least, most)
	}
	figures.setf("200 callers without a pause on three nodes, one key with 60 requests and one more each second",
		"%d passed in %v, the limit is %d to %d; %d requests", passed, lasted[0].Round(10*time.Millisecond), least, most, len(answers))
}

// times are how long it was at least and at most from the first count to the last one:
// each request was counted somewhere between its beginning and its end.
func times(answers []answer) [2]time.Duration {
	first, last := answers[0], answers[0] // the first that ended, the last that began
	begin, end := answers[0].begin, answers[0].end
	for _, got := range answers {
		if got.end.Before(first.end) {
			first = got
		}
		if got.begin.After(last.begin) {
			last = got
		}
		if got.begin.Before(begin) {
			begin = got.begin
		}
		if got.end.After(end) {
			end = got.end
		}
	}
	return [2]time.Duration{last.begin.Sub(first.end), end.Sub(begin)}
}

// With Redis gone or silent each node counts alone, from nothing: callers get no other
// answer than before, and none waits long. With Redis back the count is the one of
// before.
func TestLimitsWithoutRedis(t *testing.T) {
	c := limited(t, "1s")
	send := func(signal syscall.Signal) func() {
		return func() { _ = c.redis.command.Process.Signal(signal) }
	}
	for number, outage := range []struct {
		name       string
		begin, end func()
	}{
		{"silent", send(syscall.SIGSTOP), send(syscall.SIGCONT)},
		{"killed", func() { c.redis.kill() }, func() { c.redis.run() }},
	} {
		const together, all = burst, burst + 3*burst // all: and once on each node alone
		token := c.issue(nil)
		callers := newCrowd(t, c.nodes, token)
		callers.reach(t, together)
		outage.begin()
		callers.reach(t, all)
		outage.end()
		for _, each := range c.nodes {
			eventually(t, each.name+" counts with the others again", func() bool {
				return strings.Count(each.log.String(), "limits count on all nodes together again") > number
			})
		}
		callers.reach(t, all)
		answers := callers.disperse()
		if passed := counted(t, answers)[token]; passed != all {
			t.Errorf("%s: %d passed, want %d: the limit together, and once on each node alone", outage.name, passed, all)
		}
		longest := slowest(answers)
		if longest > 5*time.Second {
			t.Errorf("%s: a caller waited %v, though a call to Redis may take 1s", outage.name, longest)
		}
		figures.setf("Redis "+outage.name+" and back under 200 callers on three nodes, a limit of 60",
			"60 passed before, 60 on each node alone, none after; %d requests, none failed, longest %v (timeout 1s)", len(answers), longest)
	}
}
