package integration_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const streaming = `{
	skip_install_trust
	auto_https disable_redirects
	servers {
		protocols h1 h2 h2c h3
	}
	gatehouse {
		issuer main $IDP {
			audience any
			leeway 0s
		}
	}
}
$SITE {
	token_auth
	reverse_proxy $UPSTREAM
}
$KEEP {
	token_auth {
		streams keep
	}
	reverse_proxy $UPSTREAM
}
https://localhost:$TLS {
	tls internal
	token_auth
	handle /files/* {
		root $FILES
		file_server
	}
	reverse_proxy $UPSTREAM
}
`

// A streamSite is a gateway whose tokens end on the second, and an upstream whose
// answers go on until they are told to end.
type streamSite struct {
	*harness.Gateway

	idp       *harness.AuthServer
	keep, tls string

	more chan struct{} // closed: the upstream goes on
	gone sync.Map      // queries of the requests that have ended at the upstream
}

func startStreams(t *testing.T) *streamSite {
	t.Helper()
	s := &streamSite{idp: harness.NewAuthServer(t), more: make(chan struct{}), keep: "http://" + harness.FreeAddress(t)}
	upstream := harness.NewUpstream(t)
	upstream.Respond(s.answer)
	secure := harness.FreeAddress(t)
	secure = secure[strings.LastIndex(secure, ":")+1:]
	s.tls = "https://localhost:" + secure
	files := largeFile(t)
	s.Gateway = harness.Start(t, streaming, "$IDP", s.idp.URL, "$UPSTREAM", upstream.Address, "$KEEP", s.keep, "$TLS", secure, "$FILES", files)
	s.Await("/short", s.idp.Token(nil), http.StatusOK)
	harness.Eventually(t, "Caddy has made itself a certificate", func() bool {
		conn, err := tls.Dial("tcp", "localhost:"+secure, anyCertificate())
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return s
}

func (s *streamSite) answer(w http.ResponseWriter, r *http.Request) {
	defer s.gone.Store(r.URL.RawQuery, true)
	switch r.URL.Path {
	case "/ws":
		_ = harness.EchoWebSocket(w, r)
	case "/events", "/download", "/brief":
		if r.URL.Path == "/download" {
			w.Header().Set("Content-Length", "10000000")
			_, _ = io.WriteString(w, strings.Repeat("-", 100_000))
		} else {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/brief" {
			return
		}
		select {
		case <-s.more:
			_, _ = io.WriteString(w, "data: two\n\n")
		case <-r.Context().Done():
		}
	default:
		_, _ = io.WriteString(w, "short")
	}
}

// awaitGone waits until a request at the upstream has ended.
func (s *streamSite) awaitGone(t *testing.T, query string) {
	t.Helper()
	harness.Eventually(t, "the request at the upstream ended", func() bool {
		_, gone := s.gone.Load(query)
		return gone
	})
}

// anyCertificate believes the certificate that Caddy has made for itself.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}

// brief is a token that ends in a moment, long enough for a request to begin.
func (s *streamSite) brief() (token string, ends time.Time) {
	ends = time.Now().Add(3 * time.Second).Truncate(time.Millisecond)
	return s.idp.Token(map[string]any{"exp": float64(ends.UnixMilli()) / 1000}), ends
}

// open sends a request and leaves its answer open.
func open(t *testing.T, transport http.RoundTripper, url, token string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	return answer
}

// transports are the ways to the gateway; tests own them.
func (s *streamSite) transports(t *testing.T) map[string]struct {
	http.RoundTripper

	url string
} {
	t.Helper()
	plain, h2, h2c := new(http.Transport), &http.Transport{TLSClientConfig: anyCertificate(), ForceAttemptHTTP2: true}, new(http.Transport)
	h2c.Protocols = new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	h3 := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() {
		plain.CloseIdleConnections()
		h2.CloseIdleConnections()
		h2c.CloseIdleConnections()
		_ = h3.Close()
	})
	type way = struct {
		http.RoundTripper

		url string
	}
	return map[string]way{"HTTP/1.1": {plain, s.URL}, "HTTP/2": {h2, s.tls}, "h2c": {h2c, s.URL}, "HTTP/3": {h3, s.tls}}
}

// Whatever lasts ends with the token, on every version of HTTP: the caller's side
// and the upstream's.
func TestStreamsEndWithTheToken(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	for name, way := range s.transports(t) {
		for _, path := range []string{"/events", "/download"} {
			id := path[1:] + "-" + strings.ReplaceAll(name, "/", "-")
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				token, ends := s.brief()
				answer := open(t, way, way.url+path+"?"+id, token)
				got, err := io.ReadAll(answer.Body)
				// Of a download the last bytes may lie in a buffer at its end.
				if err == nil || path == "/events" && string(got) != "data: one\n\n" || len(got) == 0 {
					t.Errorf("%d bytes came, then %v; want the first part, then an error", len(got), err)
				}
				if now := time.Now(); now.Before(ends) {
					t.Errorf("it ended %v before its time", ends.Sub(now))
				}
				s.awaitGone(t, id)
			})
		}
	}
}

func TestWebSocketEndsWithTheToken(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	token, ends := s.brief()
	socket, answer := s.Upgrade("/ws?ws", token)
	if socket == nil {
		t.Fatalf("status %d", answer.StatusCode)
	}
	if err := socket.Send("hello"); err != nil {
		t.Fatal(err)
	}
	if text, err := socket.Receive(); text != "hello" {
		t.Errorf("%q came back, %v", text, err)
	}
	if text, err := socket.Receive(); err == nil || time.Now().Before(ends) {
		t.Errorf("it ended %v before its time, with %q, %v", time.Until(ends), text, err)
	}
	s.awaitGone(t, "ws")
	if _, answer := s.Upgrade("/ws", token); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("afterwards the token opens another one: %d", answer.StatusCode)
	}
}

func TestStreamsKeep(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	token, _ := s.brief()
	events := bufio.NewReader(open(t, new(http.Transport), s.keep+"/events", token).Body)
	if line, err := events.ReadString('\n'); line != "data: one\n" {
		t.Fatalf("first came %q, %v", line, err)
	}
	s.Await("/short", token, http.StatusUnauthorized)
	close(s.more)
	if rest, err := io.ReadAll(events); err != nil || string(rest) != "\ndata: two\n\n" {
		t.Errorf("then came %q, %v", rest, err)
	}
}

// A stream that ended by itself leaves nothing on its connection for the moment
// when its token expires.
func TestConnectionOutlivesTheToken(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	for name, way := range s.transports(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, _ := s.brief()
			if got, err := io.ReadAll(open(t, way, way.url+"/brief", token).Body); err != nil || string(got) != "data: one\n\n" {
				t.Fatalf("came %q, %v", got, err)
			}
			other := open(t, way, way.url+"/events", s.idp.Token(nil))
			s.Await("/short", token, http.StatusUnauthorized)
			_ = other.Body.Close()
			if got, err := io.ReadAll(open(t, way, way.url+"/short", s.idp.Token(nil)).Body); err != nil || string(got) != "short" {
				t.Errorf("afterwards came %q, %v", got, err)
			}
		})
	}
}

// WebSockets over HTTP/3 come as an extended CONNECT (RFC 9220).
func TestWebSocketOverHTTP3EndsWithTheToken(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	token, ends := s.brief()
	way := s.transports(t)["HTTP/3"]
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodConnect, way.url+"/ws?ws", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Proto = "websocket"
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Sec-WebSocket-Version", "13")
	answer, err := way.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	frame := append([]byte{0x81, 0x85, 0, 0, 0, 0}, "hello"...)
	if _, err := writer.Write(frame); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 7)
	if _, err := io.ReadFull(answer.Body, echo); err != nil || string(echo[2:]) != "hello" {
		t.Errorf("%q came back, %v", echo, err)
	}
	if _, err := answer.Body.Read(echo); err == nil || errors.Is(err, io.EOF) || time.Now().Before(ends) {
		t.Errorf("it ended %v before its time, %v", time.Until(ends), err)
	}
	s.awaitGone(t, "ws")
}
