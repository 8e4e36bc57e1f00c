//go:build interop

package zitadel_test

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The clients of the example's own main, another of their kind, and two
// whose access tokens are JWTs, which no client of the example has.
const (
	secret      = "secret"
	callback    = "http://localhost:9999/auth/callback"
	web, api    = "web", "api"
	orders      = "orders" // the API behind the gateway
	webJWT      = "web-jwt"
	apiJWT      = "api-jwt"
	admin, user = "test-user@127.0.0.1", "test-user2"
	password    = "verysecure"
)

// A provider is the example as its main makes it, on loopback.
type provider struct{ issuer string }

// startProvider ends with the test.
func startProvider(t *testing.T) provider {
	t.Helper()
	// The example logs each request to the default logger.
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(before) })

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := provider{issuer: "http://" + listener.Addr().String() + "/"}
	clients := make(map[string]*storage.Client)
	for _, id := range []string{web, api, orders, webJWT, apiJWT} {
		clients[id] = storage.WebClient(id, secret)
	}
	clients["native"] = storage.NativeClient("native")
	kept := jwtClients{storage.NewStorageWithClients(storage.NewUserStore(p.issuer), clients)}
	server := &http.Server{
		Handler:           exampleop.SetupServer(p.issuer, kept, nil, false),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(t.Output(), "the example: ", 0),
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

// jwtClients gives two clients access tokens that are JWTs; all else is the example's.
type jwtClients struct{ *storage.Storage }

func (s jwtClients) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	if err == nil && (id == webJWT || id == apiJWT) {
		client = jwtClient{client}
	}
	return client, err
}

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
