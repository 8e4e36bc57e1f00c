package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const overQUIC = `{
	skip_install_trust
	auto_https disable_redirects
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
	}
}
$SITE {
	token_auth
	reverse_proxy $UPSTREAM
}
https://localhost:$PORT {
	tls internal
	token_auth
	reverse_proxy $UPSTREAM
}
`

// A rawRequest is a HEADERS frame of HTTP/3 (RFC 9114, section 7.2.2) that no
// client would send: each field is a literal (RFC 9204, section 4.5.6).
func rawRequest(fields ...string) []byte {
	section := []byte{0, 0} // nothing of the dynamic table
	for i := 0; i < len(fields); i += 2 {
		section = appendText(section, 0x20, 3, fields[i])
		section = appendText(section, 0, 7, fields[i+1])
	}
	frame := quicvarint.Append([]byte{1}, uint64(len(section)))
	return append(frame, section...)
}

// appendText writes a text behind its length, a prefixed integer (RFC 7541, section
// 5.1).
func appendText(to []byte, flags byte, bits uint, text string) []byte {
	length, most := len(text), 1<<bits-1
	if length < most {
		return append(append(to, flags|byte(length)), text...)
	}
	to = append(to, flags|byte(most))
	for length -= most; length >= 128; length /= 128 {
		to = append(to, byte(length%128+128))
	}
	return append(append(to, byte(length)), text...)
}

// overHTTP3 sends the fields and waits for the end of the answer, or for the
// server to refuse one.
func overHTTP3(t *testing.T, address string, fields ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var conn *quic.Conn
	harness.Eventually(t, "the site has a certificate", func() (connected bool) {
		var err error
		conn, err = quic.DialAddr(ctx, address, &tls.Config{
			InsecureSkipVerify: true, // Caddy has made the certificate for itself
			ServerName:         "localhost", NextProtos: []string{http3.NextProtoH3},
		}, nil)
		return err == nil
	})
	defer func() { _ = conn.CloseWithError(0, "") }()
	new(http3.Transport).NewClientConn(conn) // the streams for control
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Write(rawRequest(fields...)); err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	stopReading := context.AfterFunc(ctx, func() { stream.CancelRead(0) })
	defer stopReading()
	answer, _ := io.ReadAll(stream)
	if ctx.Err() != nil {
		t.Fatal("no answer")
	}
	return answer
}

// The authority of an HTTP/3 request may be any text, and Caddy finds a site by what
// stands before its first colon. None of it may become a part of the path that a
// proof is held against.
func TestAttack16AuthorityWithAPath(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	address := harness.FreeAddress(t)
	port := address[strings.LastIndex(address, ":")+1:]
	gateway := harness.Start(t, overQUIC, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$PORT", port)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	holder := harness.NewHolder(t)
	held := idp.Token(map[string]any{"cnf": holder.Binding()})
	site := "https://localhost:" + port
	for authority, reaches := range map[string]bool{
		"localhost:" + port:          true,
		"localhost:" + port + "/a?":  false,
		"localhost:" + port + "/a#":  false,
		"localhost:" + port + "/a/.": false,
		"localhost:" + port + `\a?`:  false,
	} {
		for _, path := range []string{"/a", "/admin"} {
			before := len(upstream.Received())
			answer := overHTTP3(t, "localhost:"+port, ":method", http.MethodGet, ":scheme", "https", ":authority", authority, ":path", path,
				"authorization", "DPoP "+held, "dpop", holder.Proof(http.MethodGet, site+"/a", held, ""))
			if reached := len(upstream.Received()) > before; reached != (reaches && path == "/a") {
				t.Errorf("%s with a proof for /a, at authority %s: reached the upstream: %v", path, authority, reached)
			}
			if reaches && len(bytes.TrimSpace(answer)) == 0 {
				t.Errorf("%s at authority %s: no answer", path, authority)
			}
		}
	}
}

// A proxy that is trusted passes on what its clients send where it writes nothing
// itself. Such a header says no more than scheme and host either.
func TestAttack15ForwardedHostWithAPath(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	address := harness.FreeAddress(t)
	gateway := harness.Start(t, overQUIC, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$PORT", address[strings.LastIndex(address, ":")+1:])
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	holder := harness.NewHolder(t)
	held := idp.Token(map[string]any{"cnf": holder.Binding()})
	for _, test := range []struct {
		proto, host, path string
		want              int
	}{
		{"https", "api.example.com", "/a", http.StatusOK},
		{"HTTPS", "api.example.com:443", "/a", http.StatusOK},
		{"https", "api.example.com", "/admin", http.StatusUnauthorized},
		{"https", "api.example.com/a?", "/admin", http.StatusUnauthorized},
		{"https", "api.example.com/a#", "/admin", http.StatusUnauthorized},
		{"https", "api.example.com/a/.", "/./", http.StatusUnauthorized},
		{"https://api.example.com/a?", "localhost", "/admin", http.StatusUnauthorized},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway.URL+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		holder.Prove(request, "https://api.example.com/a", held, "")
		request.Header.Set("X-Forwarded-Proto", test.proto)
		request.Header.Set("X-Forwarded-Host", test.host)
		if got := gateway.Do(request); got.Status != test.want {
			t.Errorf("%s with a proof for /a, X-Forwarded-Proto %s and -Host %s: status %d, want %d", test.path, test.proto, test.host, got.Status, test.want)
		}
	}
}
