package handlers

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A deadlined records what a stream does to its request.
type deadlined struct {
	http.ResponseWriter

	read, write time.Time
}

func (d *deadlined) SetReadDeadline(at time.Time) error  { d.read = at; return nil }
func (d *deadlined) SetWriteDeadline(at time.Time) error { d.write = at; return nil }
func (d *deadlined) FlushError() error                   { return nil }

// A guarded writer stands for Caddy's idle timeouts: its state belongs to whoever
// writes, so a deadline that comes from elsewhere is a race.
type guarded struct {
	http.ResponseWriter

	set []time.Time
}

func (g *guarded) SetReadDeadline(at time.Time) error  { g.set = append(g.set, at); return nil }
func (g *guarded) SetWriteDeadline(at time.Time) error { g.set = append(g.set, at); return nil }
func (g *guarded) Unwrap() http.ResponseWriter         { return g.ResponseWriter }

// A watcher counts who watches, and ends them when it is told to.
type watcher struct {
	begun int
	ends  []func()
}

func (w *watcher) Watch(_ *token.Token, end func()) (stop func()) {
	w.begun++
	w.ends = append(w.ends, end)
	place := len(w.ends) - 1
	return func() { w.ends[place] = nil }
}

// Through Caddy's wrappers goes what the writer's own goroutine sets, and past
// them what the timer does.
func TestTimerLeavesWrappersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &deadlined{ResponseWriter: httptest.NewRecorder()}
		wrapper := &guarded{ResponseWriter: server}
		ends := time.Now().Add(time.Minute)
		w := writerUntil(wrapper, ends)
		_ = w.FlushError()
		<-time.After(2 * time.Minute) // in fake time
		synctest.Wait()
		if len(wrapper.set) != 1 || !wrapper.set[0].Equal(ends) {
			t.Errorf("the wrapper got %v, want %v once", wrapper.set, ends)
		}
		if server.read.IsZero() || server.write.IsZero() {
			t.Error("the server's writer got no deadline")
		}
		w.finish()
	})
}

// writerUntil is the writer of a caller whose token ends then.
func writerUntil(under http.ResponseWriter, ends time.Time) *privateWriter {
	who := &caller{auth: &TokenAuth{privacy: new(privacy), watcher: new(watcher)}}
	if !ends.IsZero() {
		who.token, who.issuer = &token.Token{Expiry: ends}, new(token.Issuer)
	}
	who.private.ResponseWriter, who.private.who = under, who
	return &who.private
}

// watching is who watches for revocations.
func (w *privateWriter) watching() *watcher {
	seen, _ := w.who.auth.watcher.(*watcher)
	return seen
}

func passage(r *http.Request, ends time.Time) (*privateWriter, *deadlined) {
	under := &deadlined{ResponseWriter: httptest.NewRecorder()}
	w := writerUntil(under, ends)
	if endless(r) {
		w.prepare(r)
	}
	return w, under
}

// Only what lasts starts a timer: ordinary requests pay nothing.
func TestTimerStartsWithAStream(t *testing.T) {
	text := func(w http.ResponseWriter) { _, _ = io.WriteString(w, "a") }
	tests := map[string]struct {
		length int64
		do     func(w http.ResponseWriter)
		lasts  bool
	}{
		"nothing":          {0, func(http.ResponseWriter) {}, false},
		"a status":         {0, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, false},
		"one write":        {0, text, false},
		"a body of length": {1 << 30, text, false},
		"two writes":       {0, func(w http.ResponseWriter) { text(w); text(w) }, true},
		"a flush":          {0, func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, true},
		"a file":           {0, func(w http.ResponseWriter) { _, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("a")}) }, true},
		"an endless body":  {-1, text, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, under := passage(&http.Request{ContentLength: test.length}, time.Now().Add(time.Minute))
				test.do(w)
				<-time.After(2 * time.Minute) // in fake time
				synctest.Wait()
				if ended := !under.write.IsZero() && !under.read.IsZero(); ended != test.lasts {
					t.Errorf("ended: %v, want %v", ended, test.lasts)
				}
				if over := w.over(); over != test.lasts {
					t.Errorf("over: %v, want %v", over, test.lasts)
				}
				// A second write of what did not last begins to last, and ends whenever the
				// timer gets to it.
				if _, err := w.Write([]byte("b")); test.lasts && !errors.Is(err, errStreamEnded) {
					t.Errorf("writing after the end: %v", err)
				}
				w.finish()
			})
		})
	}
}

// The connection serves another request as soon as the handlers are done.
func TestFinishedStreamIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, under := passage(&http.Request{ContentLength: -1}, time.Now().Add(time.Minute))
		s := w.lasting()
		w.finish()
		s.end() // the timer fired at that very moment
		s.start()
		w.lasts()
		<-time.After(2 * time.Minute) // in fake time
		synctest.Wait()
		if !under.read.IsZero() || !under.write.IsZero() {
			t.Error("the connection got a deadline after its request")
		}
	})
}

// HTTP/3 does not end the context when a deadline passes.
func TestStreamEndsTheContextOfHTTP3(t *testing.T) {
	for _, finish := range []func(*stream){(*stream).end, (*stream).finish} {
		under := &deadlined{ResponseWriter: httptest.NewRecorder()}
		w := writerUntil(under, time.Now().Add(time.Hour))
		r := w.prepare((&http.Request{ProtoMajor: 3}).WithContext(t.Context()))
		if r.Context().Err() != nil {
			t.Error("the context ended before its time")
		}
		finish(w.lasting())
		if r.Context().Err() == nil {
			t.Error("the context goes on")
		}
		w.finish()
	}
}

// streams keep, and callers without a token: nothing ends.
func TestStreamWithoutEnd(t *testing.T) {
	w, under := passage(&http.Request{ContentLength: -1}, time.Time{})
	for range 3 {
		if _, err := io.WriteString(w, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if w.stream.Load() != nil || !under.write.IsZero() {
		t.Error("a timer runs")
	}
}

// An ordinary request is watched by nobody, and what lasts is until it is done.
func TestStreamIsWatched(t *testing.T) {
	w, _ := passage(&http.Request{}, time.Now().Add(time.Hour))
	seen := w.watching()
	_, _ = io.WriteString(w, "a")
	if seen.begun > 0 {
		t.Error("an ordinary answer is watched")
	}
	for range 3 {
		_, _ = io.WriteString(w, "a")
	}
	if seen.begun != 1 {
		t.Errorf("a stream is watched %d times", seen.begun)
	}
	w.finish()
	if seen.ends[0] != nil {
		t.Error("it is watched when it is over")
	}
}

// A revocation ends a stream as its time does, and says so again while the handlers
// go on: a wrapper may move a deadline at that very moment.
func TestRevocationEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, under := passage(&http.Request{ContentLength: -1}, time.Now().Add(time.Hour))
		seen := w.watching()
		seen.ends[0]()
		for range 3 {
			if _, err := io.WriteString(w, "late"); !errors.Is(err, errStreamEnded) {
				t.Errorf("writing: %v", err)
			}
			w.lasting().mu.Lock()
			if !under.read.Equal(longAgo) || !under.write.Equal(longAgo) {
				t.Errorf("deadlines %v, %v", under.read, under.write)
			}
			under.read, under.write = time.Time{}, time.Time{}
			w.lasting().mu.Unlock()
			<-time.After(3 * endAgain / 2) // in fake time
			synctest.Wait()
		}
		w.finish()
		under.read, under.write = time.Time{}, time.Time{}
		<-time.After(2 * endAgain)
		synctest.Wait()
		if !under.read.IsZero() || !under.write.IsZero() {
			t.Error("the connection got a deadline after its request")
		}
	})
}

// An upgraded connection has a deadline of its own, which a revocation brings forward.
func TestRevocationEndsAnUpgradedConnection(t *testing.T) {
	for name, before := range map[string]bool{"while it goes on": false, "before the upgrade": true} {
		t.Run(name, func(t *testing.T) {
			w, _ := passage(&http.Request{}, time.Now().Add(time.Hour))
			seen := w.watching()
			ours, theirs := net.Pipe()
			defer func() { _, _ = ours.Close(), theirs.Close() }()
			if before {
				w.lasts()
				seen.ends[0]()
			}
			if err := w.lasting().taken(ours); err != nil {
				t.Fatal(err)
			}
			if !before {
				seen.ends[0]()
			}
			if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || seen.begun != 1 {
				t.Errorf("reading: %v; watched %d times", err, seen.begun)
			}
			w.finish()
			if seen.ends[0] != nil {
				t.Error("it is watched when it is over")
			}
		})
	}
}
