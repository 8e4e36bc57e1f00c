package authserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// With an issuer the endpoint is discovered, and looked for again when it is
// gone.
func TestTokenByDiscovery(t *testing.T) {
	var path atomic.Value
	path.Store("/old")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issuer := "https://" + r.Host
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			writeJSON(w, 200, fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, issuer, issuer+path.Load().(string)))
		case path.Load():
			writeJSON(w, 200, goodAnswer)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	found, err := NewServer(ServerOptions{Issuer: server.URL, TrustCA: trust(server)})
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	client := newTestClient(t, ClientOptions{Server: found, TrustCA: trust(server)})
	if _, err := client.Token(t.Context(), subjectForm()); err != nil {
		t.Fatal(err)
	}
	path.Store("/new")
	var refusal *Refusal
	if _, err := client.Token(t.Context(), subjectForm()); !errors.As(err, &refusal) {
		t.Fatalf("the old endpoint: %v", err)
	}
	if _, err := client.Token(t.Context(), subjectForm()); err != nil {
		t.Errorf("the new endpoint: %v", err)
	}
	if client.Issuer() != server.URL {
		t.Errorf("issuer %q", client.Issuer())
	}
}

func TestTokenByDiscoveryFails(t *testing.T) {
	var metadata atomic.Value
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, metadata.Load().(string))
	}))
	defer server.Close()
	for name, document := range map[string]string{
		"no endpoint":    fmt.Sprintf(`{"issuer":%q}`, server.URL),
		"another issuer": `{"issuer":"https://other.example","token_endpoint":"https://other.example/t"}`,
		"plain http":     fmt.Sprintf(`{"issuer":%q,"token_endpoint":"http://idp.example/t"}`, server.URL),
	} {
		t.Run(name, func(t *testing.T) {
			metadata.Store(document)
			found, err := NewServer(ServerOptions{Issuer: server.URL, TrustCA: trust(server)})
			if err != nil {
				t.Fatal(err)
			}
			defer found.Close()
			client := newTestClient(t, ClientOptions{Server: found, TrustCA: trust(server)})
			if _, err := client.Token(t.Context(), subjectForm()); !errors.Is(err, ErrBadAnswer) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The client's timeout bounds discovery too, whatever the server's own is.
func TestTokenTimeoutBoundsDiscovery(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-release:
		case <-time.After(3 * time.Second): // a client that waits so long gets an answer, and the wrong error
		}
		writeJSON(w, 200, `{}`)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	found, err := NewServer(ServerOptions{Issuer: server.URL, TrustCA: trust(server), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(found.Close)
	client := newTestClient(t, ClientOptions{Server: found, TrustCA: trust(server), Timeout: 50 * time.Millisecond})
	if _, err := client.Token(t.Context(), subjectForm()); !errors.Is(err, ErrTimeout) {
		t.Errorf("error %v", err)
	}
}
