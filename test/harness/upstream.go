package harness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// An Upstream records every request that reaches it and answers 200.
type Upstream struct {
	// Address is host and port, as reverse_proxy takes it.
	Address string

	mu       sync.Mutex
	received []Received
	respond  http.HandlerFunc
}

// Received is a request as the upstream saw it.
type Received struct {
	Method, Path, Query, Host string
	Header, Trailer           http.Header
	Body                      string
}

// Bearer is the bearer token that the upstream got, "" for none.
func (r Received) Bearer() string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// Holds tells whether a text occurs anywhere in what the upstream got.
func (r Received) Holds(text string) bool {
	var all strings.Builder
	for name, values := range r.Header {
		all.WriteString(name + "\n" + strings.Join(values, "\n") + "\n")
	}
	all.WriteString(r.Path + "\n" + r.Query + "\n" + r.Host + "\n" + r.Body)
	return strings.Contains(all.String(), text)
}

// NewUpstream starts an upstream; it ends with the test.
func NewUpstream(tb testing.TB) *Upstream {
	tb.Helper()
	u := new(Upstream)
	server := httptest.NewServer(u)
	tb.Cleanup(server.Close)
	u.Address = strings.TrimPrefix(server.URL, "http://")
	return u
}

// Respond changes how the upstream answers.
func (u *Upstream) Respond(handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.respond = handler
}

// ServeHTTP implements http.Handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.received = append(u.received, Received{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host,
		Header: r.Header.Clone(), Trailer: r.Trailer.Clone(), Body: string(body),
	})
	respond := u.respond
	u.mu.Unlock()
	if respond != nil {
		respond(w, r)
		return
	}
	_, _ = io.WriteString(w, "upstream\n")
}

// Received is every request so far, oldest first.
func (u *Upstream) Received() []Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Received(nil), u.received...)
}

// Last is the newest request; the test fails if there is none.
func (u *Upstream) Last(tb testing.TB) Received {
	tb.Helper()
	all := u.Received()
	if len(all) == 0 {
		tb.Fatal("nothing reached the upstream")
	}
	return all[len(all)-1]
}
