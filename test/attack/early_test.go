package attack_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/http3/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const early = `{
	skip_install_trust
	auto_https disable_redirects
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
	}
}
$SITE {
	token_auth
	respond "in"
}
https://localhost:$PORT {
	tls internal
	handle /optional {
		token_auth {
			optional
		}
		reverse_proxy $UPSTREAM
	}
	handle {
		token_auth
		reverse_proxy $UPSTREAM
	}
}
`

// An earlyClient keeps what it needs to resume a TLS session.
type earlyClient struct {
	address string // of the gateway
	tls     *tls.Config
}

func newEarlyClient(address string) *earlyClient {
	return &earlyClient{address: address, tls: &tls.Config{
		InsecureSkipVerify: true, // Caddy has made the certificate for itself
		ServerName:         "localhost", NextProtos: []string{http3.NextProtoH3},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}}
}

// meet completes one handshake; afterwards there is a session to resume.
func (c *earlyClient) meet(ctx context.Context) error {
	conn, err := quic.DialAddr(ctx, c.address, c.tls, nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	for { // the ticket follows the handshake
		if session, ok := c.tls.ClientSessionCache.Get("localhost"); ok && session != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// ask sends a request in 0-RTT packets, and returns the answer that comes to it
// while the handshake is not over: it never will be. The error of a request that
// came too late for that is the context's.
func (c *earlyClient) ask(ctx context.Context, request *http.Request) (*http.Response, error) {
	server, err := net.ResolveUDPAddr("udp", c.address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.Close() }()
	held := &unendingConn{PacketConn: socket, begin: make(chan struct{})}
	begin := sync.OnceFunc(func() { close(held.begin) })
	stopWaiting := context.AfterFunc(ctx, begin)
	defer stopWaiting()
	transport := &quic.Transport{Conn: held}
	defer func() { _ = transport.Close() }()
	settings := &settingsWatch{made: make(chan struct{})}
	conn, err := transport.DialEarly(ctx, server, c.tls, &quic.Config{Tracer: settings.trace})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	stream, err := new(http3.Transport).NewClientConn(conn).OpenRequestStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.SendRequestHeader(request); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	if err := settings.await(ctx); err != nil {
		return nil, err
	}
	begin()
	stopReading := context.AfterFunc(ctx, func() { stream.CancelRead(0) })
	defer stopReading()
	answer, err := stream.ReadResponse()
	if err == nil && !conn.ConnectionState().Used0RTT {
		return nil, context.DeadlineExceeded
	}
	return answer, err
}

// A settingsWatch tells when the client has opened its control stream. quic-go does so in
// a goroutine of its own, and reads there, without a lock, what the server's first answer
// changes: it must be through before the server hears anything.
type settingsWatch struct{ made chan struct{} }

func (w *settingsWatch) trace(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return w }

func (w *settingsWatch) await(ctx context.Context) error {
	select {
	case <-w.made:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AddProducer implements qlogwriter.Trace.
func (w *settingsWatch) AddProducer() qlogwriter.Recorder { return w }

// SupportsSchemas implements qlogwriter.Trace: of HTTP/3 all is told, of QUIC nothing.
func (*settingsWatch) SupportsSchemas(schema string) bool { return schema == qlog.EventSchema }

// RecordEvent implements qlogwriter.Recorder. There is one such frame in a connection.
func (w *settingsWatch) RecordEvent(event qlogwriter.Event) {
	if created, ok := event.(qlog.FrameCreated); ok {
		if _, ok := created.Frame.Frame.(qlog.SettingsFrame); ok {
			close(w.made)
		}
	}
}

// Close implements qlogwriter.Recorder.
func (*settingsWatch) Close() error { return nil }

// An unendingConn says nothing before the early data lie ready, and never ends the
// handshake: of the client's packets none but Initial and 0-RTT ones leave. So it
// is when somebody replays packets.
type unendingConn struct {
	net.PacketConn

	begin chan struct{} // closed when the client may speak
}

// WriteTo implements net.PacketConn.
func (c *unendingConn) WriteTo(packet []byte, to net.Addr) (int, error) {
	<-c.begin
	if goesOn(packet) {
		return len(packet), nil
	}
	return c.PacketConn.WriteTo(packet, to)
}

// goesOn tells whether a datagram holds a packet that goes on with a handshake or
// uses its keys: Handshake and 1-RTT (RFC 9000, section 17).
func goesOn(datagram []byte) bool {
	const (
		longHeader = 0x80
		initial    = 0
		early      = 1
	)
	for len(datagram) > 0 {
		kind := datagram[0] >> 4 & 3
		if datagram[0]&longHeader == 0 || kind != initial && kind != early {
			return true
		}
		rest := datagram[5:]    // behind the version
		rest = rest[1+rest[0]:] // the destination's connection ID
		rest = rest[1+rest[0]:] // the source's
		if kind == initial {
			length, size, _ := quicvarint.Parse(rest) // an address validation token
			rest = rest[size+int(length):]
		}
		length, size, _ := quicvarint.Parse(rest)
		datagram = rest[size+int(length):]
	}
	return false
}

// Early data of TLS 1.3 over QUIC may be a replay: nothing that changes something
// passes before the handshake is over, and what passes is marked for the upstream.
func TestAttack55EarlyDataOfTLS(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	address := harness.FreeAddress(t)
	port := address[strings.LastIndex(address, ":")+1:]
	gateway := harness.Start(t, early, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$PORT", port)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	for _, test := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodGet, "/", idp.Token(nil), http.StatusOK},
		{http.MethodHead, "/", idp.Token(nil), http.StatusOK},
		{http.MethodGet, "/", "", http.StatusUnauthorized},
		{http.MethodPost, "/", idp.Token(nil), http.StatusTooEarly},
		{http.MethodDelete, "/", idp.Token(nil), http.StatusTooEarly},
		{http.MethodPost, "/", "", http.StatusTooEarly},
		{http.MethodPost, "/optional", "", http.StatusTooEarly},
		{http.MethodGet, "/optional", "", http.StatusOK},
	} {
		reached := len(upstream.Received())
		answer := earlyAnswer(t, test.method, "https://localhost:"+port+test.path, test.token)
		if answer.StatusCode != test.want {
			t.Errorf("%s %s: status %d, want %d", test.method, test.path, answer.StatusCode, test.want)
		}
		passed := upstream.Received()[reached:]
		for _, got := range passed {
			if got.Method != test.method || got.Header.Get("Early-Data") != "1" {
				t.Errorf("%s %s: the upstream got %s with Early-Data %q", test.method, test.path, got.Method, got.Header["Early-Data"])
			}
		}
		if (len(passed) > 0) != (test.want == http.StatusOK) {
			t.Errorf("%s %s: %d requests reached the upstream", test.method, test.path, len(passed))
		}
	}
	inTime(t, "https://localhost:"+port+"/", idp.Token(nil))
	if got := upstream.Last(t); got.Method != http.MethodPost || got.Header.Get("Early-Data") != "" {
		t.Errorf("after the handshake the upstream got %s with Early-Data %q", got.Method, got.Header["Early-Data"])
	}
}

// inTime sends a POST as it should be sent, after the handshake.
func inTime(t *testing.T, url, token string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer func() { _ = transport.Close() }()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("after the handshake: status %d", answer.StatusCode)
	}
}

// earlyAnswer asks until a request was early enough: on a busy machine the server
// may speak before the request is on its way.
func earlyAnswer(t *testing.T, method, url, token string) (answer *http.Response) {
	t.Helper()
	harness.Eventually(t, method+" is answered before the handshake is over", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		client := newEarlyClient(request.URL.Host)
		if err = client.meet(ctx); err == nil {
			answer, err = client.ask(ctx, request)
		}
		return err == nil
	})
	return answer
}
