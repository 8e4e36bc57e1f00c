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

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A stream ends what outlives the caller's token: a WebSocket, events, a call
// that streams, a long download. The token was checked when the request began;
// without this it would be good for as long as somebody keeps a connection. The
// end comes with the token's own, or when the token is revoked.
//
// An ordinary request must not pay for it, so there is a timer, and a watch for
// revocations, only once a request shows that it lasts: by a body without length,
// a flush, a second write, a file. The end takes the way that each protocol has:
//
//   - an upgraded connection (HTTP/1) gets a deadline;
//   - HTTP/1 gets deadlines: what is being read and written fails, and the server
//     ends the request's context;
//   - HTTP/2 resets the stream for such a deadline and ends the context too;
//   - HTTP/3 does not end the context, so it has one of our own.
//
// Caddy puts idle timeouts around the connection, whose state belongs to the
// goroutine that writes. So the deadline for writing is set there, through them,
// as soon as the timer is; what comes from the timer goes to the connection
// itself, past them.
type stream struct {
	ends    time.Time // zero: never
	writer  http.ResponseWriter
	cancel  context.CancelFunc // HTTP/3 only
	watcher Watcher
	token   *token.Token

	over atomic.Bool // the end has come: nothing more is written

	mu       sync.Mutex
	timer    *time.Timer
	unwatch  func()   // nil while nobody watches
	conn     net.Conn // of HTTP/1, once a handler took it over
	finished bool     // the handlers are done
}

// A Watcher ends what goes on for a token that is revoked; see
// revocation.State.Watch.
type Watcher interface {
	// Watch calls end, from another goroutine, when the token is no longer good, until
	// stop is called.
	Watch(held *token.Token, end func()) (stop func())
}

// errStreamEnded is what handlers get that go on writing.
var errStreamEnded = errors.New("the caller's token is no longer good, which ends the stream")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// begin says when the request ends at the latest, and returns it for the
// handlers behind. Every begin needs a finish.
func (s *stream) begin(w http.ResponseWriter, r *http.Request, watcher Watcher, held *token.Token, ends time.Time) *http.Request {
	s.writer, s.watcher, s.token, s.ends = w, watcher, held, ends
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

// lasts starts the timer and the watch, if there are none. Whoever writes calls it.
func (s *stream) lasts() {
	if s.ends.IsZero() {
		return
	}
	s.mu.Lock()
	if s.timer != nil || s.finished {
		s.mu.Unlock()
		return
	}
	s.timer = time.AfterFunc(time.Until(s.ends), s.end)
	if s.conn == nil {
		_ = http.NewResponseController(s.writer).SetWriteDeadline(s.ends)
	}
	s.mu.Unlock()
	unwatch := s.watcher.Watch(s.token, s.end)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		unwatch()
		return
	}
	s.unwatch = unwatch
}

// endAgain is how long after the end it is said once more, while the handlers go
// on: a wrapper may have moved a deadline at that very moment.
const endAgain = 500 * time.Millisecond

// end ends the request, whatever it is doing.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished { // the connection may serve another request by now
		return
	}
	s.over.Store(true)
	if s.timer != nil {
		s.timer.Reset(endAgain)
	}
	if s.conn != nil {
		_ = s.conn.SetDeadline(longAgo)
		return
	}
	control := http.NewResponseController(innermost(s.writer))
	_ = control.SetReadDeadline(longAgo)
	_ = control.SetWriteDeadline(longAgo)
	if s.cancel != nil {
		s.cancel()
	}
}

// innermost is the server's own writer behind all wrappers. Its deadlines may be
// set while somebody writes.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// finish leaves nothing behind when the handlers are done: the connection may
// serve another request.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && s.timer.Stop() && s.conn == nil && !s.over.Load() {
		_ = http.NewResponseController(s.writer).SetWriteDeadline(time.Time{})
	}
	s.finished = true
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// taken bounds a connection that a handler took over. The deadline is the
// connection's own and goes with it, however long the handler stays. A revocation
// ends it while the handler stays, as reverse_proxy does to the connection's end.
func (s *stream) taken(conn net.Conn) error {
	if s.ends.IsZero() {
		return nil
	}
	s.mu.Lock()
	s.conn = conn
	err := conn.SetDeadline(s.ends)
	if s.over.Load() {
		err = conn.SetDeadline(longAgo)
	}
	s.mu.Unlock()
	s.lasts()
	return err
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
