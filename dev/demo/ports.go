package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ports are those the quickstart needs, and what for.
var ports = []struct{ number, use string }{
	{"8080", "the API"},
	{"9000", "the identity provider"},
	{upstreamPort, "the upstream"},
	{"2019", "Caddy's admin endpoint"},
}

// checkPorts tells in plain words if a port is taken. Caddy alone would not: it
// shares ports with other Caddys (SO_REUSEPORT), and requests would go to either.
func checkPorts(ctx context.Context) error {
	for _, port := range ports {
		if err := checkPort(ctx, port.number, port.use); err != nil {
			return err
		}
	}
	return nil
}

func checkPort(ctx context.Context, number, use string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", number))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %s of 127.0.0.1 is taken, and the demo needs it for %s\n"+
			"mend: end what listens there (`ss -ltnp 'sport = :%s'` or `lsof -i :%s` names it), then start the demo again",
			number, use, number, number)
	}
	if err != nil {
		return fmt.Errorf("listening on port %s for %s: %w", number, use, err)
	}
	return listener.Close()
}
