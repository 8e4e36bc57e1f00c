package harness

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A Hook is a webhook that is told of events. It refuses what is not signed with its
// secret.
type Hook struct {
	// URL is where it listens.
	URL string
	// CA is the file with the authority of its certificate, where it listens by TLS.
	CA string

	secret string
	failed failedHandshakes

	mu    sync.Mutex
	told  []Told
	text  strings.Builder
	fails int
}

// Told is one event, a CloudEvent.
type Told struct {
	ID, Source, SpecVersion, Type string
	Data                          map[string]any
}

// NewHook starts a webhook. Without a secret it takes everything.
func NewHook(tb testing.TB, secret string) *Hook {
	tb.Helper()
	hook := &Hook{secret: secret}
	server := httptest.NewServer(hook)
	tb.Cleanup(server.Close)
	hook.URL = server.URL + "/gatehouse"
	return hook
}

// NewTLSHook starts a webhook that listens by TLS and takes everything.
func NewTLSHook(tb testing.TB) *Hook {
	tb.Helper()
	hook := &Hook{CA: filepath.Join(tb.TempDir(), "ca.pem")}
	server := httptest.NewUnstartedServer(hook)
	server.Config.ErrorLog = log.New(&hook.failed, "", 0)
	server.StartTLS()
	tb.Cleanup(server.Close)
	hook.URL = server.URL + "/gatehouse"
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(hook.CA, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return hook
}

// failedHandshakes counts what a server logs of them.
type failedHandshakes struct{ count atomic.Int32 }

// Write implements io.Writer.
func (f *failedHandshakes) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("TLS handshake error")) {
		f.count.Add(1)
	}
	return len(line), nil
}

// AwaitDistrust waits until somebody did not believe its certificate.
func (h *Hook) AwaitDistrust(tb testing.TB) {
	tb.Helper()
	Eventually(tb, "somebody breaks off a handshake", func() bool { return h.failed.count.Load() > 0 })
}

// Fail makes it answer 503 to that many requests.
func (h *Hook) Fail(times int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = times
}

// ServeHTTP implements http.Handler.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	var told Told
	switch {
	case h.fails > 0:
		h.fails--
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/cloudevents+json" || json.Unmarshal(body, &told) != nil:
		w.WriteHeader(http.StatusBadRequest)
	case h.secret != "" && !h.signed(r, body):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		h.told = append(h.told, told)
		h.text.Write(body)
	}
}

func (h *Hook) signed(r *http.Request, body []byte) bool {
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + string(body)))
	return r.Header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Types are those of the events it was told of, in their order.
func (h *Hook) Types() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	types := make([]string, len(h.told))
	for i, told := range h.told {
		types[i] = told.Type
	}
	return types
}

// Text is everything that it was told.
func (h *Hook) Text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// Await waits until it was told that many events of a type, and returns the last one.
func (h *Hook) Await(tb testing.TB, kind string, count int) (last Told) {
	tb.Helper()
	Eventually(tb, "the webhook is told of "+kind, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		found := 0
		for _, told := range h.told {
			if told.Type == kind {
				found, last = found+1, told
			}
		}
		return found >= count
	})
	return last
}
