package test

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// plainHTTP2 lets gRPC clients of a test speak HTTP/2 without TLS.
const plainHTTP2 = `{
	servers {
		protocols h1 h2c
	}
}
`

func actCORS(t *testing.T, s *stage) {
	t.Helper()
	s.Await("/", s.idp.Token(nil), http.StatusOK)
	ask := func(method, origin, token string, header http.Header) harness.Answer {
		request := s.Request(method, "/", token)
		maps.Copy(request.Header, header)
		request.Header.Set("Origin", origin)
		return s.Do(request)
	}
	const app = "https://app.example.com"
	preflight := http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}}
	before := len(s.upstream.Received())
	answer := ask(http.MethodOptions, app, "", preflight).Expect(t, http.StatusNoContent)
	if h := answer.Header; h.Get("Access-Control-Allow-Origin") != app || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("the preflight is answered %v", h)
	}
	if h := ask(http.MethodOptions, "https://evil.example", "", preflight).Header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign page is let in: %v", h)
	}
	// The page can read why it was refused.
	for token, status := range map[string]int{"": http.StatusUnauthorized, "bad": http.StatusUnauthorized} {
		h := ask(http.MethodPost, app, token, nil).Expect(t, status).Header
		if h.Get("Access-Control-Allow-Origin") != app || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") ||
			h.Get("WWW-Authenticate") == "" {
			t.Errorf("the refusal has %v", h)
		}
	}
	// No preflight, no way around.
	ask(http.MethodOptions, app, "", nil).Expect(t, http.StatusUnauthorized)
	ask(http.MethodPost, app, "", preflight).Expect(t, http.StatusUnauthorized)
	s.Do(s.Request(http.MethodOptions, "/", "")).Expect(t, http.StatusUnauthorized)
	if after := len(s.upstream.Received()); after != before {
		t.Errorf("%d requests reached the upstream without a token", after-before)
	}
	answer = ask(http.MethodGet, app, s.idp.Token(nil), nil).Expect(t, http.StatusOK)
	if vary := strings.Join(answer.Header.Values("Vary"), ","); !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Authorization") {
		t.Errorf("Vary: %s", vary)
	}
	if answer.Header.Get("Access-Control-Allow-Origin") != app {
		t.Error("the page cannot read its answer")
	}
}

// grpcServer serves gRPC's health service on an address.
func grpcServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func actGRPC(t *testing.T, s *stage) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	call := func(method, token string) codes.Code {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		return status.Code(conn.Invoke(ctx, method, new(grpc_health_v1.HealthCheckRequest), new(grpc_health_v1.HealthCheckResponse)))
	}
	const check = "/grpc.health.v1.Health/Check"
	harness.Eventually(t, "a call goes through", func() bool { return call(check, s.idp.Token(nil)) == codes.OK })
	for _, test := range []struct {
		method, token string
		want          codes.Code
	}{
		{check, "bad", codes.Unauthenticated},
		{"/orders.v1.Orders/List", s.idp.Token(map[string]any{"scope": "profile"}), codes.PermissionDenied},
		{"/orders.v1.Orders/List", s.idp.Token(nil), codes.Unimplemented}, // by the upstream
	} {
		if got := call(test.method, test.token); got != test.want {
			t.Errorf("%s: %v, want %v", test.method, got, test.want)
		}
	}
}

func actStreams(t *testing.T, s *stage) {
	t.Helper()
	s.Await("/", s.idp.Token(nil), http.StatusOK)
	more := make(chan struct{})
	s.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			_ = harness.EchoWebSocket(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
			_, _ = io.WriteString(w, "data: two\n\n")
		case <-r.Context().Done():
		}
	})
	// Expired already, and good until the leeway has passed as well.
	ends := time.Now().Add(3 * time.Second).Truncate(time.Second)
	token := s.idp.Token(map[string]any{"exp": ends.Add(-30 * time.Second).Unix()})
	socket, refusal := s.Upgrade("/ws", token)
	if socket == nil {
		t.Fatalf("the WebSocket was refused: %d", refusal.StatusCode)
	}
	events, kept := s.events(t, "/events", token), s.events(t, "/telemetry/events", token)
	_ = socket.Send("hello")
	if text, err := socket.Receive(); text != "hello" {
		t.Errorf("%q came back, %v", text, err)
	}
	if _, err := io.ReadAll(events); err == nil || time.Now().Before(ends) {
		t.Errorf("the events ended with %v, %v before their time", err, time.Until(ends))
	}
	if text, err := socket.Receive(); err == nil {
		t.Errorf("the WebSocket goes on: %q", text)
	}
	socket.Close()
	s.Get("/", token).Expect(t, http.StatusUnauthorized)
	close(more)
	if rest, err := io.ReadAll(kept); err != nil || string(rest) != "data: two\n\n" {
		t.Errorf("what was to go on sent %q, %v", rest, err)
	}
}

// events opens an event stream and returns what follows the first event.
func (s *stage) events(t *testing.T, path, token string) *bufio.Reader {
	t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(s.Request(http.MethodGet, path, token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	reader := bufio.NewReader(answer.Body)
	first := make([]byte, len("data: one\n\n"))
	if _, err := io.ReadFull(reader, first); err != nil {
		t.Fatalf("%d: %q, %v", answer.StatusCode, first, err)
	}
	return reader
}

func actHTTP3(t *testing.T, s *stage) {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer func() { _ = transport.Close() }()
	get := func(token string) (int, string) {
		request, err := http.NewRequest(http.MethodGet, s.secure+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.ProtoMajor != 3 {
			t.Errorf("the answer came over %s", answer.Proto)
		}
		return answer.StatusCode, answer.Header.Get("WWW-Authenticate")
	}
	harness.Eventually(t, "a request goes through", func() bool {
		code, _ := get(s.idp.Token(nil))
		return code == http.StatusOK
	})
	if code, challenge := get(""); code != http.StatusUnauthorized || challenge != `Bearer realm="gatehouse"` {
		t.Errorf("without a token: %d, %s", code, challenge)
	}
	if code, _ := get(s.idp.Token(map[string]any{"scope": "profile"})); code != http.StatusForbidden {
		t.Errorf("without the scope: %d", code)
	}
	if s.upstream.Last(t).Bearer() != "" {
		t.Error("the caller's token reached the upstream")
	}
}
