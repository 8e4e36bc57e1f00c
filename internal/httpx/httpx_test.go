package httpx_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, options httpx.Options) *httpx.Client {
	t.Helper()
	client, err := httpx.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func post(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("canary-body"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "canary-secret")
	return request
}

// A redirect would carry the secret and the token in the body to another host.
func TestNoRedirectIsFollowed(t *testing.T) {
	var reached atomic.Int32
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
		})
		answer, err := newClient(t, httpx.Options{}).Do(post(t.Context(), t, url), 100)
		if err != nil || answer.Status != status {
			t.Errorf("a redirect %d came back as %v, %v", status, answer, err)
		}
		if _, err := newClient(t, httpx.Options{}).Get(t.Context(), url, "*/*", 100); err != nil {
			t.Error(err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a", len(r.URL.Query().Get("length"))))
	})
	client := newClient(t, httpx.Options{})
	for length, want := range map[int]error{0: nil, 9: nil, 10: nil, 11: httpx.ErrTooLarge, 1000: httpx.ErrTooLarge} {
		answer, err := client.Get(t.Context(), url+"?length="+strings.Repeat("x", length), "*/*", 10)
		if !errors.Is(err, want) || (err == nil && len(answer.Body) != length) {
			t.Errorf("%d bytes where 10 are allowed: %v, want %v", length, err, want)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Large", strings.Repeat("a", 128<<10)) })
	if _, err := newClient(t, httpx.Options{}).Get(t.Context(), url, "*/*", 10); !errors.Is(err, httpx.ErrUnreachable) {
		t.Errorf("an answer with 128 KiB of header: %v", err)
	}
}

func TestTimeout(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}
	handlers := map[string]http.HandlerFunc{
		"no answer": hang,
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		},
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, httpx.Options{Timeout: 50 * time.Millisecond})
			_, err := client.Do(post(t.Context(), t, serve(t, handler)), 100)
			if !errors.Is(err, httpx.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want %v", err, httpx.ErrTimeout)
			}
		})
	}
}

// That the caller left is not the server's fault.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient(t, httpx.Options{}).Do(post(ctx, t, url), 100)
	if !errors.Is(err, context.Canceled) || errors.Is(err, httpx.ErrUnreachable) || errors.Is(err, httpx.ErrTimeout) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	breaks := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, url := range map[string]string{"nobody listens": closed, "the connection breaks": breaks} {
		t.Run(name, func(t *testing.T) {
			_, err := newClient(t, httpx.Options{}).Do(post(t.Context(), t, url+"/path?canary=query"), 100)
			if !errors.Is(err, httpx.ErrUnreachable) {
				t.Errorf("error %v, want %v", err, httpx.ErrUnreachable)
			}
			if text := err.Error(); strings.Contains(text, "canary") || !strings.Contains(text, url+"/path") {
				t.Errorf("the error says %q", text)
			}
		})
	}
}

func TestTrustCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake fails on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	answer, err := newClient(t, httpx.Options{TrustCA: [][]byte{own}}).Get(t.Context(), server.URL, "*/*", 100)
	if err != nil || string(answer.Body) != "in" {
		t.Errorf("with the server's CA: %v", err)
	}
	_, err = newClient(t, httpx.Options{}).Get(t.Context(), server.URL, "*/*", 100)
	if !errors.Is(err, httpx.ErrUnreachable) || !strings.Contains(err.Error(), "trust_ca") {
		t.Errorf("without the server's CA: %v", err)
	}
	for name, bundles := range map[string][][]byte{"not PEM": {[]byte("no certificate")}, "the second": {own, []byte("")}} {
		if _, err := httpx.New(httpx.Options{TrustCA: bundles}); err == nil {
			t.Errorf("%s: a CA bundle without a certificate was accepted, and with it nobody or everybody", name)
		}
	}
}

// ErrNotSent allows a request to be sent elsewhere, so it must not stand where a
// server may have got the first of it.
func TestErrNotSent(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // by a CA that nobody trusts
	t.Cleanup(secure.Close)
	client, err := httpx.New(httpx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for place, unsent := range map[string]bool{broken.URL: false, "http://" + listener.Addr().String(): true, secure.URL: true} {
		_, err := client.Get(t.Context(), place, "*/*", 1<<10)
		if !errors.Is(err, httpx.ErrUnreachable) || errors.Is(err, httpx.ErrNotSent) != unsent {
			t.Errorf("%s: %v; not sent: %t, want %t", place, err, errors.Is(err, httpx.ErrNotSent), unsent)
		}
	}
}
