//go:build cluster

package cluster_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := new(world)
	w.upstream = serve(tb, w).Listener.Addr().String()
	return w
}

// serve serves on the callers' network.
func serve(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	listener, err := net.Listen("tcp", fabric.address()+":0")
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// ServeHTTP implements http.Handler: a stream at /stream, a few bytes elsewhere.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
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
