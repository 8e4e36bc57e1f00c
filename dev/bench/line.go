package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A line is one connection to a gateway. It is kept alive.
type line struct {
	connection net.Conn
	reader     *bufio.Reader
}

// line is the numbered connection to a gateway, opened when it is first used. It
// stays open from turn to turn, so that no row pays for handshakes.
func (w *world) line(ctx context.Context, g *gateway, number int) (*line, error) {
	for len(g.lines) <= number {
		opened, err := w.dial(ctx, g.address)
		if err != nil {
			return nil, err
		}
		g.lines = append(g.lines, opened)
	}
	return g.lines[number], nil
}

func (w *world) dial(ctx context.Context, address string) (*line, error) {
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = new(net.Dialer)
	if w.scenario.kind == mutualTLS {
		dialer = &tls.Dialer{Config: w.identity.config()}
	}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &line{connection: connection, reader: bufio.NewReader(connection)}, nil
}

// call sends a request as its bytes and reads the answer to its end.
func (l *line) call(request string) error {
	if _, err := io.WriteString(l.connection, request); err != nil {
		return fmt.Errorf("sending a request: %w", err)
	}
	answer, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("reading an answer: status %d: %w", answer.StatusCode, err)
	}
	return nil
}

func (l *line) close() { _ = l.connection.Close() }
