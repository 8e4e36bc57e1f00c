package authserver

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// post sends a form as a client of the server.
func post(t *testing.T, server *Server) (*Answer, error) {
	t.Helper()
	client, err := NewClient(ClientOptions{ID: "gateway", Auth: Basic(NewSecret("s")), Server: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client.Post(t.Context(), Endpoint{Name: EndpointToken}, url.Values{"grant_type": {"client_credentials"}}, "application/json")
}

// A server that cannot be connected to got nothing, so the next one is asked
// within the same call.
func TestPostFailsOverBeforeAnythingIsSent(t *testing.T) {
	first, second, server := regions(t)
	if _, err := server.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	server.replicas[0].metadata.TokenEndpoint = "http://" + closed.Addr().String() + "/token"
	answer, err := post(t, server)
	if err != nil || answer.Status != http.StatusOK || second.tokens.Load() != 1 {
		t.Errorf("answer %v, error %v, %d requests at the fallback", answer, err, second.tokens.Load())
	}
	if !server.replicas[0].isDown() || first.tokens.Load() != 0 {
		t.Error("the failure of the first is not remembered")
	}
}

// Once something was sent, nobody else gets it: the server may have done what it
// was asked before it broke (attack row 34).
func TestAttack34PostNeverSendsTwice(t *testing.T) {
	_, second, server := regions(t)
	if _, err := server.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	breaking := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // the whole body has come
		got.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaking.Close)
	server.replicas[0].metadata.TokenEndpoint = breaking.URL + "/token"
	if _, err := post(t, server); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	if got.Load() != 1 || second.tokens.Load() != 0 {
		t.Errorf("%d requests at the first, %d at the fallback; want one at all", got.Load(), second.tokens.Load())
	}
	// The next one goes where somebody answers.
	if answer, err := post(t, server); err != nil || answer.Status != http.StatusOK || second.tokens.Load() != 1 {
		t.Errorf("the next request: %v", err)
	}
}

func TestPostLeavesAServerInTrouble(t *testing.T) {
	first, second, server := regions(t)
	first.answer.Store(http.StatusServiceUnavailable)
	for i, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		if answer, err := post(t, server); err != nil || answer.Status != want {
			t.Errorf("request %d: error %v, want %d", i, err, want)
		}
	}
	if first.tokens.Load() != 1 || second.tokens.Load() != 1 {
		t.Errorf("%d and %d requests, want one each", first.tokens.Load(), second.tokens.Load())
	}
}

func TestPostDiscoversWhereItCan(t *testing.T) {
	first, second, server := regions(t)
	first.status.Store(http.StatusServiceUnavailable)
	if answer, err := post(t, server); err != nil || answer.Status != http.StatusOK || second.tokens.Load() != 1 {
		t.Errorf("error %v, %d requests at the fallback", err, second.tokens.Load())
	}
}

// An endpoint that is left alone got nothing either.
func TestPostPassesAnOpenBreaker(t *testing.T) {
	first, second, server := regions(t)
	guard := NewGuard()
	client, err := NewClient(ClientOptions{ID: "gateway", Auth: Basic(NewSecret("s")), Server: server, Guard: guard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	place, err := client.locate(t.Context(), Endpoint{Name: EndpointToken})
	if err != nil {
		t.Fatal(err)
	}
	for range breakerSamples {
		_ = guard.call(t.Context(), place, func() error { return ErrUnreachable })
	}
	if _, err := client.Post(t.Context(), Endpoint{Name: EndpointToken}, nil, "application/json"); err != nil {
		t.Error(err)
	}
	if first.tokens.Load() != 0 || second.tokens.Load() != 1 {
		t.Errorf("%d and %d requests", first.tokens.Load(), second.tokens.Load())
	}
}

// Every endpoint of a region that publishes the first one's metadata is the
// region's own.
func TestMetadataMoves(t *testing.T) {
	const issuer = "https://idp.example.com/realms/main"
	metadata := &Metadata{
		Issuer: issuer, JWKSURI: issuer + "/certs", TokenEndpoint: issuer + "/token", IntrospectionEndpoint: issuer + "/introspect",
		RevocationEndpoint: issuer + "/revoke", Aliases: map[string]string{EndpointToken: issuer + "/mtls", EndpointRevocation: "https://mtls.example.com/r"},
	}
	metadata.move("https://eu.example.com")
	want := &Metadata{
		Issuer: issuer, JWKSURI: "https://eu.example.com/certs", TokenEndpoint: "https://eu.example.com/token",
		IntrospectionEndpoint: "https://eu.example.com/introspect", RevocationEndpoint: "https://eu.example.com/revoke",
		Aliases: map[string]string{EndpointToken: "https://eu.example.com/mtls", EndpointRevocation: "https://mtls.example.com/r"},
	}
	if diff := cmp.Diff(want, metadata); diff != "" {
		t.Error(diff)
	}
	if !metadata.has("https://eu.example.com/introspect") || !metadata.has("https://eu.example.com/mtls") || metadata.has(issuer+"/token") {
		t.Error("its endpoints are not known by their addresses")
	}
}
