package harness

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A WebSocket is a client's side of one (RFC 6455), as far as tests need it:
// short texts, one frame each.
type WebSocket struct {
	conn   net.Conn
	reader *bufio.Reader
}

// Upgrade asks for a WebSocket with a bearer token. It returns the answer if that
// is no upgrade. The connection ends with the test.
func (g *Gateway) Upgrade(path, token string) (*WebSocket, *http.Response) {
	g.tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := g.Request(http.MethodGet, path, token)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if err := request.Write(conn); err != nil {
		g.tb.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		g.tb.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, answer
	}
	return &WebSocket{conn: conn, reader: reader}, answer
}

const (
	frameText   = 0x81 // the only and last of its message
	frameMasked = 0x80
)

// Send sends a text of at most 125 bytes. The mask is zeros, which a client may
// choose and which leaves the text readable.
func (s *WebSocket) Send(text string) error {
	_, err := s.conn.Write(append([]byte{frameText, frameMasked | byte(len(text)), 0, 0, 0, 0}, text...))
	return err
}

// Receive waits for one text.
func (s *WebSocket) Receive() (string, error) { return receiveFrame(s.reader) }

// Close ends the connection and waits until the other side has done the same.
func (s *WebSocket) Close() {
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, s.reader)
	_ = s.conn.Close()
}

// receiveFrame reads one frame with a text of at most 125 bytes.
func receiveFrame(reader *bufio.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return "", err
	}
	if head[0] != frameText {
		return "", fmt.Errorf("a frame of the kind %#x", head[0])
	}
	length := int(head[1] &^ frameMasked)
	if head[1]&frameMasked != 0 {
		length += 4
	}
	content := make([]byte, length)
	if _, err := io.ReadFull(reader, content); err != nil {
		return "", err
	}
	if head[1]&frameMasked != 0 {
		content = content[4:] // the mask is zeros
	}
	return string(content), nil
}

// EchoWebSocket upgrades a request at an upstream and echoes texts until the
// other side is gone. It returns how the connection ended.
func EchoWebSocket(w http.ResponseWriter, r *http.Request) error {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(accept[:]))
	for {
		text, err := receiveFrame(buffer.Reader)
		if err != nil {
			return err
		}
		if _, err := conn.Write(append([]byte{frameText, byte(len(text))}, text...)); err != nil {
			return err
		}
	}
}
