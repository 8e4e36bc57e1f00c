//go:build cluster

package cluster_test

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// loopback are machines with an address each on this one's loopback interface. There
// is no link to cut, so each reaches the others through relays of the test.
type loopback struct{ machines atomic.Int32 }

func newLoopback() *loopback {
	n := new(loopback)
	n.machines.Store(1)
	return n
}

func (*loopback) String() string {
	return "loopback addresses, one for each node, with a relay to Redis"
}

func (*loopback) address() string { return "127.0.0.1" }

func (n *loopback) machine(tb testing.TB) *machine {
	tb.Helper()
	address := "127.77.0." + strconv.Itoa(int(n.machines.Add(1)))
	var relays []*relay
	all := func(do func(*relay)) func(testing.TB) {
		return func(testing.TB) {
			for _, each := range relays {
				do(each)
			}
		}
	}
	return &machine{
		thread: newThread(tb, false), front: address, back: address, network: n,
		sever: all((*relay).sever), mend: all((*relay).mend),
		route: func(tb testing.TB, to string) string {
			tb.Helper()
			relays = append(relays, newRelay(tb, address, to))
			return relays[len(relays)-1].listener.Addr().String()
		},
	}
}

// A relay carries connections to an address until it is severed.
type relay struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	severed bool
	open    map[net.Conn]bool
	running sync.WaitGroup
}

func newRelay(tb testing.TB, from, to string) *relay {
	tb.Helper()
	listener, err := net.Listen("tcp", from+":0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &relay{listener: listener, to: to, open: make(map[net.Conn]bool)}
	r.running.Go(r.serve)
	tb.Cleanup(func() {
		_ = listener.Close()
		r.sever()
		r.running.Wait()
	})
	return r
}

func (r *relay) serve() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		if r.hold(conn) {
			r.running.Go(func() { r.carry(conn) })
		}
	}
}

// hold keeps a connection in mind; one that comes while there is no way is closed.
func (r *relay) hold(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.severed {
		_ = conn.Close()
		return false
	}
	r.open[conn] = true
	return true
}

func (r *relay) drop(conn net.Conn) {
	_ = conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, conn)
}

func (r *relay) carry(conn net.Conn) {
	defer r.drop(conn)
	other, err := net.Dial("tcp", r.to)
	if err != nil || !r.hold(other) {
		return
	}
	defer r.drop(other)
	r.running.Go(func() {
		_, _ = io.Copy(other, conn)
		_ = other.Close()
	})
	_, _ = io.Copy(conn, other)
}

func (r *relay) sever() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.severed = true
	for conn := range r.open {
		_ = conn.Close()
	}
}

func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.severed = false
}
