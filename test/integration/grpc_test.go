package integration_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const calling = `{
	servers {
		protocols h1 h2c
	}
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			leeway 0s
		}
		issuer down $DOWN {
			audience https://api.example.com
		}
	}
}
$SITE {
	token_auth main down
	@lacking header X-Test scope
	token_require @lacking scope orders:write
	reverse_proxy h2c://$UPSTREAM
}
$MISPLACED {
	token_require scope orders:read
}
`

// A callSite is a gateway before a gRPC server.
type callSite struct {
	*harness.Gateway

	idp       *harness.AuthServer
	down      string // an issuer that does not answer
	client    grpc_health_v1.HealthClient
	misplaced grpc_health_v1.HealthClient // of a site without token_auth
}

func startCalls(t *testing.T) callSite {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	misplaced := harness.FreeAddress(t)
	site := callSite{idp: harness.NewAuthServer(t), down: "http://" + harness.FreeAddress(t)}
	site.Gateway = harness.Start(t, calling, "$IDP", site.idp.URL, "$DOWN", site.down,
		"$UPSTREAM", listener.Addr().String(), "$MISPLACED", "http://"+misplaced)
	site.client, site.misplaced = dial(t, strings.TrimPrefix(site.URL, "http://")), dial(t, misplaced)
	harness.Eventually(t, "a call goes through", func() bool {
		_, err := site.client.Check(bearing(t.Context(), site.idp.Token(nil)), new(grpc_health_v1.HealthCheckRequest))
		return err == nil
	})
	return site
}

func dial(t *testing.T, address string) grpc_health_v1.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// bearing puts a token into the metadata of a call; pairs follow it.
func bearing(ctx context.Context, token string, pairs ...string) context.Context {
	if token != "" {
		pairs = append(pairs, "authorization", "Bearer "+token)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// A refused call gets gRPC's own code and our text, beside the HTTP status.
func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	site := startCalls(t)
	tests := map[string]struct {
		token     string
		pairs     []string
		client    grpc_health_v1.HealthClient
		code      codes.Code
		message   string
		challenge string
	}{
		"no token": {
			code: codes.Unauthenticated, message: "This API needs an access token.", challenge: `Bearer realm="gatehouse"`,
		},
		"a bad token": {
			token: "bad", code: codes.Unauthenticated, message: "The access token is not valid for this API.", challenge: `error="invalid_token"`,
		},
		"two tokens": {
			token: "a", pairs: []string{"authorization", "Bearer b"}, code: codes.InvalidArgument,
			message: "The request's credentials are malformed.", challenge: `error="invalid_request"`,
		},
		"scope": {
			token: site.idp.Token(map[string]any{"scope": "orders:read"}), pairs: []string{"x-test", "scope"}, code: codes.PermissionDenied,
			message: "The access token lacks scope that this request needs.", challenge: `scope="orders:write"`,
		},
		"no keys": { // no fault of the call: it may come again
			token: site.idp.Token(map[string]any{"iss": site.down}), code: codes.Unavailable, message: "The token cannot be checked at present.",
		},
		"a misplaced directive": {
			client: site.misplaced, code: codes.Internal,
			message: "The server's configuration does not allow it to answer this request.",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.client == nil {
				test.client = site.client
			}
			var header, trailer metadata.MD
			_, err := test.client.Check(bearing(t.Context(), test.token, test.pairs...), new(grpc_health_v1.HealthCheckRequest),
				grpc.Header(&header), grpc.Trailer(&trailer))
			if got := status.Convert(err); got.Code() != test.code || got.Message() != test.message {
				t.Errorf("%v: %q, want %v: %q", got.Code(), got.Message(), test.code, test.message)
			}
			challenge := strings.Join(append(header.Get("www-authenticate"), trailer.Get("www-authenticate")...), "\n")
			if !strings.Contains(challenge, test.challenge) || (challenge == "") != (test.challenge == "") {
				t.Errorf("challenge %q, want %q", challenge, test.challenge)
			}
		})
	}
}

// The HTTP status is that of every other answer.
func TestRefusedCallsKeepTheirStatus(t *testing.T) {
	t.Parallel()
	site := startCalls(t)
	request := site.Request(http.MethodPost, "/grpc.health.v1.Health/Check", "")
	request.Header.Set("Content-Type", "application/grpc+proto")
	answer := site.Do(request).Expect(t, http.StatusUnauthorized)
	expectHeader(t, answer, "Content-Type", "application/grpc")
	expectHeader(t, answer, "Grpc-Status", "16")
	expectHeader(t, answer, "WWW-Authenticate", offersBearer, offersDPoP)
	expectHeader(t, answer, "Cache-Control", "no-store")
	if answer.Body != "" {
		t.Errorf("a body: %q", answer.Body)
	}
}

// A call that streams ends with the token.
func TestCallEndsWithTheToken(t *testing.T) {
	t.Parallel()
	site := startCalls(t)
	ends := time.Now().Add(3 * time.Second).Truncate(time.Millisecond)
	token := site.idp.Token(map[string]any{"exp": float64(ends.UnixMilli()) / 1000})
	watch, err := site.client.Watch(bearing(t.Context(), token), new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("first came %v, %v", first, err)
	}
	next, err := watch.Recv()
	if now := time.Now(); err == nil || now.Before(ends) {
		t.Errorf("then came %v, %v, %v before its time", next, err, ends.Sub(now))
	}
	if _, err := site.client.Check(bearing(t.Context(), token), new(grpc_health_v1.HealthCheckRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := site.client.Check(bearing(t.Context(), site.idp.Token(nil)), new(grpc_health_v1.HealthCheckRequest)); err != nil {
		t.Errorf("a call with another token: %v", err)
	}
}

// A call that streams ends when the token is revoked.
func TestCallEndsWithRevocation(t *testing.T) {
	t.Parallel()
	site := startCalls(t)
	token := site.idp.Token(map[string]any{"sub": "revoked"})
	watch, err := site.client.Watch(bearing(t.Context(), token), new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("first came %v, %v", first, err)
	}
	at := revokeSubject(t, site.Gateway, site.idp, "revoked")
	if next, err := watch.Recv(); err == nil {
		t.Errorf("then came %v", next)
	}
	endedInTime(t, at)
	if _, err := site.client.Check(bearing(t.Context(), token), new(grpc_health_v1.HealthCheckRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("afterwards: %v", err)
	}
}
