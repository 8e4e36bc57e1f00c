package handlers

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A stream ends what outlives the caller's token: a WebSocket, events, a call
// that streams, a long download. The token was checked when the request began;
// without this it would be good for as long as somebody keeps a connection.
//
// An ordinary request must not pay for it, so there is a timer only once a
// request shows that it lasts: by a body without length, a flush, a second
// write, a file. The end takes the way that each protocol has:
//
//   - an upgraded connection (HTTP/1) gets a deadline;
//   - HTTP/1 gets deadlines in the past: what is being read and written fails, and
//     the server ends the request's context;
//   - HTTP/2 resets the stream for such a deadline and ends the context too;
//   - HTTP/3 does not end the context, so it has one of our own.
type stream struct {
	ends   time.Time // zero: never
	writer http.ResponseWriter
	cancel context.CancelFunc // HTTP/3 only

	over atomic.Bool // the end has come: nothing more is written

	mu       sync.Mutex
	timer    *time.Timer
	finished bool // the handlers are done, or the connection is somebody else's
}

// errStreamEnded is what handlers get that go on writing.
var errStreamEnded = errors.New("the caller's token has expired, which ends the stream")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// begin says when the request ends at the latest, and returns it for the
// handlers behind. Every begin needs a finish.
func (s *stream) begin(w http.ResponseWriter, r *http.Request, ends time.Time) *http.Request {
	s.writer, s.ends = w, ends
	if r.ProtoMajor == 3 {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(r.Context())
		r = r.WithContext(ctx)
	}
	// Uploads without an end, gRPC, and WebSockets over HTTP/2 and HTTP/3.
	if r.ContentLength < 0 {
		s.lasts()
	}
	return r
}

// lasts starts the timer, if there is none.
func (s *stream) lasts() {
	if s.ends.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && !s.finished {
		s.timer = time.AfterFunc(time.Until(s.ends), s.end)
	}
}

// end ends the request, whatever it is doing.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished { // the connection may serve another request by now
		return
	}
	s.over.Store(true)
	control := http.NewResponseController(s.writer)
	_ = control.SetReadDeadline(longAgo)
	_ = control.SetWriteDeadline(longAgo)
	if s.cancel != nil {
		s.cancel()
	}
}

// finish leaves nothing behind when the handlers are done.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// taken bounds a connection that a handler took over. The deadline is the
// connection's own and goes with it, however long the handler stays.
func (s *stream) taken(conn net.Conn) error {
	if s.ends.IsZero() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.timer != nil {
		s.timer.Stop()
	}
	return conn.SetDeadline(s.ends)
}

// Hijack hands over the connection; http.ResponseController looks for it.
func (w *privateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := w.stream.taken(conn); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, buffer, nil
}
