package integration_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const responses = `$SITE {
	token_auth $IDP {
		audience any
	}
	handle /up/* {
		reverse_proxy $UPSTREAM
	}
	handle /static/* {
		root $DIR
		uri strip_prefix /static
		file_server
	}
	handle /error {
		error 404
	}
	handle /compressed {
		encode gzip
		respond "some text that is long enough to be worth a compression, which begins at five hundred bytes $LONG"
	}
	handle /nothing {
	}
	handle {
		respond "in"
	}
	handle_errors {
		respond "no such page"
	}
}
`

type responseSite struct {
	*harness.Gateway

	upstream *harness.Upstream
	token    string
}

func startResponses(t *testing.T) responseSite {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	folder := t.TempDir()
	write(t, folder+"/page.txt", []byte(strings.Repeat("page ", 100_000)))
	gateway := harness.Start(t, responses, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$DIR", folder, "$LONG", strings.Repeat("long ", 200))
	site := responseSite{gateway, upstream, idp.Token(nil)}
	gateway.Await("/", site.token, http.StatusOK)
	return site
}

// No cache behind the gateway may give one caller's answer to another.
func TestAnswersAreMarkedAsPrivate(t *testing.T) {
	t.Parallel()
	site := startResponses(t)
	tests := map[string]struct {
		path         string
		upstream     http.Header
		vary         []string
		cacheControl string
	}{
		"nothing said":                {"/up/", nil, []string{"Authorization"}, "private"},
		"upstream's own word":         {"/up/", http.Header{"Cache-Control": {"public, max-age=60"}}, []string{"Authorization"}, "public, max-age=60"},
		"upstream varies":             {"/up/", http.Header{"Vary": {"Accept-Encoding"}}, []string{"Accept-Encoding", "Authorization"}, "private"},
		"upstream varies by it":       {"/up/", http.Header{"Vary": {"Accept, authorization"}}, []string{"Accept, authorization"}, "private"},
		"upstream varies by all":      {"/up/", http.Header{"Vary": {"*"}}, []string{"*"}, "private"},
		"a body of Caddy's own":       {"/", nil, []string{"Authorization"}, "private"},
		"a file":                      {"/static/page.txt", nil, []string{"Accept-Encoding", "Authorization"}, "private"},
		"no body":                     {"/nothing", nil, []string{"Authorization"}, "private"},
		"error routes":                {"/error", nil, []string{"Authorization"}, "private"},
		"compressed on the way":       {"/compressed", nil, []string{"Accept-Encoding", "Authorization"}, "private"},
		"an upstream that says no":    {"/up/", http.Header{"X-Status": {"404"}}, []string{"Authorization"}, "private"},
		"an upstream that says again": {"/up/", http.Header{"X-Status": {"304"}}, []string{"Authorization"}, "private"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			site.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), test.upstream)
				switch test.upstream.Get("X-Status") {
				case "404":
					w.WriteHeader(http.StatusNotFound)
				case "304":
					w.WriteHeader(http.StatusNotModified)
				default:
					_, _ = io.WriteString(w, "answer")
				}
			})
			request := site.Request(http.MethodGet, test.path, site.token)
			request.Header.Set("Accept-Encoding", "gzip")
			got := site.Do(request)
			expectHeader(t, got, "Vary", test.vary...)
			expectHeader(t, got, "Cache-Control", test.cacheControl)
		})
	}
}

func TestUpgradePassesThrough(t *testing.T) {
	t.Parallel()
	site := startResponses(t)
	site.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		line, _ := buffer.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(site.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET /up/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer %s\r\n\r\n", conn.RemoteAddr(), site.token)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade was answered %v, %v", answer, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := reader.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("through the upgraded connection came %q, %v", line, err)
	}
	if site.upstream.Last(t).Holds(site.token) {
		t.Error("the caller's token reached the upstream")
	}
}

// Events arrive one by one, not when the answer is over.
func TestEventsAreFlushed(t *testing.T) {
	t.Parallel()
	site := startResponses(t)
	seen := make(chan struct{})
	site.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-seen:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "data: two\n\n")
	})
	answer, err := http.DefaultTransport.RoundTrip(site.Request(http.MethodGet, "/up/events", site.token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	reader := bufio.NewReader(answer.Body)
	if line, err := reader.ReadString('\n'); line != "data: one\n" {
		t.Fatalf("first came %q, %v", line, err)
	}
	close(seen)
	rest, err := io.ReadAll(reader)
	if string(rest) != "\ndata: two\n\n" {
		t.Errorf("then came %q, %v", rest, err)
	}
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	site := startResponses(t)
	large := strings.Repeat("0123456789abcdef", 512<<10) // 8 MiB
	site.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	for _, length := range []int64{int64(len(large)), -1} {
		request := site.Request(http.MethodPost, "/up/", site.token)
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(large)), length
		got := site.Do(request).Expect(t, http.StatusOK)
		if sum(got.Body) != sum(large) || sum(site.upstream.Last(t).Body) != sum(large) {
			t.Errorf("of %d bytes, %d went up and %d came down, or not the same", len(large), len(site.upstream.Last(t).Body), len(got.Body))
		}
	}
	if got := site.Get("/static/page.txt", site.token).Expect(t, http.StatusOK); len(got.Body) != 500_000 {
		t.Errorf("%d bytes of a file of 500000", len(got.Body))
	}
}

func sum(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

func TestEarlyHintsPassThrough(t *testing.T) {
	t.Parallel()
	site := startResponses(t)
	site.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "page")
	})
	var hints []textproto.MIMEHeader
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints {
			hints = append(hints, header)
		}
		return nil
	}}
	request := site.Request(http.MethodGet, "/up/", site.token)
	got := site.Do(request.WithContext(httptrace.WithClientTrace(context.Background(), trace))).Expect(t, http.StatusOK)
	if len(hints) != 1 || hints[0].Get("Link") == "" || hints[0].Get("Cache-Control") != "" {
		t.Errorf("early hints %v", hints)
	}
	expectHeader(t, got, "Vary", "Authorization")
	expectHeader(t, got, "Cache-Control", "private")
}
