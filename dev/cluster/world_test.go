//go:build cluster

package cluster_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A world is what stands behind the nodes.
type world struct {
	// upstream is its host and port.
	upstream string
	// ended counts the streams that have ended.
	ended atomic.Int64
	last  atomic.Value
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := new(world)
	server := unstarted(tb, w)
	server.Start()
	w.upstream = server.Listener.Addr().String()
	return w
}

// unstarted is a server on the callers' network; it ends with the test.
func unstarted(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	listener, err := net.Listen("tcp", fabric.address()+":0")
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// bearer is the bearer token of the latest request.
func (w *world) bearer() string {
	last, _ := w.last.Load().(string)
	return last
}

// ServeHTTP implements http.Handler: a stream at /stream, a few bytes elsewhere.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	held, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	w.last.Store(held)
	if r.URL.Path != "/stream" {
		_, _ = io.WriteString(rw, "upstream\n")
		return
	}
	defer w.ended.Add(1)
	rw.Header().Set("Content-Type", "text/event-stream")
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for {
		if _, err := io.WriteString(rw, "data: tick\n\n"); err != nil {
			return
		}
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-ticks.C:
		}
	}
}
