package handlers

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// oneConn is a listener of one connection.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l oneConn) Close() error   { return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// Whoever does not send the body that he announced is cut off; whoever did is waited
// for, however long the decision takes.
func TestFormsComeInTime(t *testing.T) {
	for name, test := range map[string]struct {
		sent   string
		reads  bool
		status int
		took   time.Duration
	}{
		"never all of it":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\na=", true, http.StatusBadRequest, formWait},
		"never another chunk":    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", true, http.StatusBadRequest, formWait},
		"refused without a look": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\na=", false, http.StatusBadRequest, formWait},
		"all of it":              {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na=", true, http.StatusOK, 10 * formWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, took := answered(t, test.sent, test.reads)
				if status != test.status || took != test.took {
					t.Errorf("%d after %s, want %d after %s", status, took, test.status, test.took)
				}
			})
		})
	}
}

// answered sends a request to a server that takes long over whatever it could read.
func answered(t *testing.T, request string, reads bool) (status int, took time.Duration) {
	t.Helper()
	client, conn := net.Pipe()
	listener := oneConn{conns: make(chan net.Conn, 1)}
	listener.conns <- conn
	gone := make(chan error, 1)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasten(w, r)
		if !reads {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		select {
		case <-r.Context().Done():
			gone <- r.Context().Err()
		case <-time.After(10 * formWait):
		}
	})}
	go func() { _ = server.Serve(listener) }()
	begun := time.Now()
	go func() { _, _ = io.Copy(client, strings.NewReader(request)) }()
	answer, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	took = time.Since(begun)
	_ = answer.Body.Close()
	close(listener.conns)
	_, _ = client.Close(), server.Close()
	synctest.Wait()
	select {
	case err := <-gone:
		t.Errorf("the client was taken to be gone: %v", err)
	default:
	}
	return answer.StatusCode, took
}
