package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// leeway is the issuers' leeway: a token that expired this long ago is at its end.
const leeway = 30 * time.Second

// fading is a token at its end in a moment.
func (w *world) fading() (token string, ends time.Time) {
	ends = time.Now().Add(3 * time.Second).Truncate(time.Second)
	return w.token(map[string]any{"exp": ends.Add(-leeway).Unix()}), ends
}

// Who keeps a connection must not keep the access: nothing comes after the end,
// even if a second request in the pipe hides from the server that the first one
// is over.
func TestAttack44StreamOutlivesToken(t *testing.T) {
	for name, piped := range map[string]string{"alone": "", "with a request behind it": "GET /a/next HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			late := make(chan struct{})
			w.upstream.Respond(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(rw, "data: early\n\n")
				_ = http.NewResponseController(rw).Flush()
				select {
				case <-late:
					_, _ = io.WriteString(rw, "data: late\n\n")
				case <-r.Context().Done():
				}
			})
			defer w.upstream.Respond(nil)
			token, ends := w.fading()
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.gateway.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = fmt.Fprintf(conn, "GET /a/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n%s", token, piped)
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", answer, err)
			}
			first := make([]byte, len("data: early\n\n"))
			if _, err := io.ReadFull(answer.Body, first); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "the token is at its end", func() bool { return time.Now().After(ends) })
			w.refused("/b/", token) // another route, which does not reach the upstream
			close(late)
			if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err == nil {
				t.Errorf("after the end came %q, %v", rest, err)
			}
			if rest, _ := io.ReadAll(reader); strings.Contains(string(rest), "200") {
				t.Errorf("on the same connection came %q", rest)
			}
		})
	}
}

// An upgrade is checked like any request, and what was upgraded ends with the
// token, however busy it is.
func TestAttack44WebSocketOutlivesToken(t *testing.T) {
	w := attacked(t)
	w.upstream.Respond(func(rw http.ResponseWriter, r *http.Request) { _ = harness.EchoWebSocket(rw, r) })
	defer w.upstream.Respond(nil)
	for name, token := range map[string]string{"none": "", "another issuer's": w.b.Token(nil), "bad": "bad"} {
		if socket, answer := w.gateway.Upgrade("/a/ws", token); socket != nil || answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("token %s: %d", name, answer.StatusCode)
		}
	}
	token, ends := w.fading()
	socket, answer := w.gateway.Upgrade("/a/ws", token)
	if socket == nil {
		t.Fatalf("status %d", answer.StatusCode)
	}
	if !slices.Contains(answer.Header["Vary"], "Authorization") || answer.Header.Get("Cache-Control") != "private" {
		t.Errorf("the upgrade may be stored: %v", answer.Header)
	}
	for {
		// The end may come between the two.
		if err := socket.Send("busy"); err != nil {
			break
		}
		if _, err := socket.Receive(); err != nil {
			break
		}
		if time.Since(ends) > patience/2 {
			t.Fatal("the WebSocket goes on")
		}
	}
	if early := time.Until(ends); early > 0 {
		t.Errorf("it ended %v before its time", early)
	}
	socket.Close()
}

// Events are one caller's like any other answer.
func TestAttack43StreamedAnswers(t *testing.T) {
	w := attacked(t)
	w.upstream.Respond(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(rw).Flush()
		_, _ = io.WriteString(rw, "data: one\n\n")
	})
	defer w.upstream.Respond(nil)
	answer := w.get("/a/events", w.token(nil)).Expect(t, http.StatusOK)
	if !slices.Contains(answer.Header["Vary"], "Authorization") || answer.Header.Get("Cache-Control") != "private" {
		t.Errorf("the events may be stored: %v", answer.Header)
	}
}
