package integration_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An extendedConnect is a client's side of HTTP/2, frame by frame, with one
// stream: Go's own clients have no word for an extended CONNECT (RFC 8441).
type extendedConnect struct {
	*http2.Framer

	conn *tls.Conn
}

// dialHTTP2 opens a connection whose server lets clients begin WebSockets.
func dialHTTP2(t *testing.T, address string) *extendedConnect {
	t.Helper()
	settings := anyCertificate()
	settings.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &extendedConnect{Framer: http2.NewFramer(conn, conn), conn: conn}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	first, err := c.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	if offered, ok := first.(*http2.SettingsFrame); !ok || !offers(offered, http2.SettingEnableConnectProtocol) {
		t.Fatalf("the server begins with %v, and offers no extended CONNECT", first)
	}
	return c
}

func offers(settings *http2.SettingsFrame, id http2.SettingID) bool {
	value, ok := settings.Value(id)
	return ok && value == 1
}

// open asks for a WebSocket and returns the status of the answer.
func (c *extendedConnect) open(t *testing.T, authority, path, token string) (status string) {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "CONNECT"},
		{":protocol", "websocket"},
		{":scheme", "https"},
		{":authority", authority},
		{":path", path},
		{"sec-websocket-version", "13"},
		{"authorization", "Bearer " + token},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if head, ok := frame.(*http2.MetaHeadersFrame); ok {
			return head.PseudoValue("status")
		}
	}
}

// receive collects what the stream brings until it has that size, or it
// ends: how is what ended it.
func (c *extendedConnect) receive(size int) (data, how string) {
	for len(data) < size {
		frame, err := c.ReadFrame()
		if err != nil {
			return data, err.Error()
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			data += string(frame.Data())
			if frame.StreamEnded() {
				return data, "end of stream"
			}
		case *http2.RSTStreamFrame:
			return data, "reset"
		case *http2.GoAwayFrame:
			return data, "end of connection"
		}
	}
	return data, ""
}

// WebSockets over HTTP/2 come as an extended CONNECT, if Caddy runs with the
// setting of Go's that lets servers offer it.
func TestWebSocketOverHTTP2EndsWithTheToken(t *testing.T) {
	t.Setenv("GODEBUG", "http2xconnect=1")
	s := startStreams(t)
	authority := strings.TrimPrefix(s.tls, "https://")
	if status := dialHTTP2(t, authority).open(t, authority, "/ws", "bad"); status != "401" {
		t.Errorf("with a bad token: status %s", status)
	}
	token, ends := s.brief()
	socket := dialHTTP2(t, authority)
	if status := socket.open(t, authority, "/ws?ws", token); status != "200" {
		t.Fatalf("status %s", status)
	}
	if err := socket.WriteData(1, false, append([]byte{0x81, 0x85, 0, 0, 0, 0}, "hello"...)); err != nil {
		t.Fatal(err)
	}
	if echo, how := socket.receive(7); !strings.HasSuffix(echo, "hello") {
		t.Errorf("%q came back, %s", echo, how)
	}
	rest, how := socket.receive(1)
	if rest != "" || how != "reset" || time.Now().Before(ends) {
		t.Errorf("it ended %v before its time, with %q, %s", time.Until(ends), rest, how)
	}
	s.awaitGone(t, "ws")
}
