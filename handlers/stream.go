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

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A stream ends what outlives the caller's token: a WebSocket, events, a call
// that streams, a long download. The token was checked when the request began;
// without this it would be good for as long as somebody keeps a connection. The
// end comes with the token's own, or when the token is revoked.
//
// An ordinary request must not pay for it, so there is a stream, with its timer and its
// watch for revocations, only once a request shows that it lasts: by a body without length,
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
	ends    time.Time
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

// done is the stream of an answer that is over: nothing begins any more.
var done = &stream{finished: true} //nolint:gochecknoglobals // it never changes

// lasting returns what ends the answer, nil where nothing does: for callers without a
// token, and with `streams keep`. Every answer needs a finish.
func (w *privateWriter) lasting() *stream {
	who := w.who
	if who.token == nil || who.auth.Streams == config.StreamsKeep {
		return nil
	}
	if begun := w.stream.Load(); begun != nil {
		return begun
	}
	w.stream.CompareAndSwap(nil, &stream{
		writer: w.ResponseWriter, watcher: who.auth.watcher, token: who.token, ends: who.token.Expiry.Add(who.issuer.Leeway),
	})
	return w.stream.Load()
}

// lasts says that the answer, or the request, is no ordinary one. Whoever writes calls it.
func (w *privateWriter) lasts() {
	if s := w.lasting(); s != nil {
		s.start()
	}
}

// over tells that the end has come: nothing more is written.
func (w *privateWriter) over() bool {
	s := w.stream.Load()
	return s != nil && s.over.Load()
}

// endless tells of a request that lasts by itself, or whose end needs preparation.
func endless(r *http.Request) bool { return r.ContentLength < 0 || r.ProtoMajor == 3 }

// prepare returns an endless request for the handlers behind.
func (w *privateWriter) prepare(r *http.Request) *http.Request {
	s := w.lasting()
	if s == nil {
		return r
	}
	if r.ProtoMajor == 3 {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(r.Context())
		r = r.WithContext(ctx)
	}
	// Uploads without an end, gRPC, and WebSockets over HTTP/2 and HTTP/3.
	if r.ContentLength < 0 {
		s.start()
	}
	return r
}

// finish leaves nothing behind, and marks an answer that has no body.
func (w *privateWriter) finish() {
	if s := w.stream.Swap(done); s != nil {
		s.finish()
	}
	w.mark()
}

// abort resets a stream of HTTP/3 whose end came while the handlers were at it. Some of them
// (file_server) pass over what a write says, and HTTP/3 then ends the stream as if it
// were whole: a deadline of its own, which resets it on other versions, it does not have.
// The server takes this panic for what it is, as it does that of reverse_proxy.
func (w *privateWriter) abort(r *http.Request) {
	if r.ProtoMajor != 3 {
		return
	}
	if s := w.stream.Load(); s != nil && s.cut() {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http has no other word for it
	}
}

// cut tells whether something that lasts was ended: by the timer, or by the deadline of the
// writer, which may come a moment earlier.
func (s *stream) cut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over.Load() || s.timer != nil && !time.Now().Before(s.ends)
}

// start starts the timer and the watch, if there are none.
func (s *stream) start() {
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
	s.mu.Lock()
	if s.finished {
		s.mu.Unlock()
		return errStreamEnded
	}
	s.conn = conn
	err := conn.SetDeadline(s.ends)
	if s.over.Load() {
		err = conn.SetDeadline(longAgo)
	}
	s.mu.Unlock()
	s.start()
	return err
}

// Hijack hands over the connection; http.ResponseController looks for it.
func (w *privateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if s := w.lasting(); s != nil {
		err = s.taken(conn)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, buffer, nil
}
