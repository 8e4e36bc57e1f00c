package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build compiles the Caddy that users build, with Gatehouse and one handler that only
// one role uses. It must run within the project: the module dev knows where the root is.
func build(ctx context.Context, binary string) error {
	//nolint:gosec // the path is this program's own
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary,
		"github.com/caddy-gatehouse/gatehouse/dev/bench/gateway")
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building caddy: %w\n%s", err, text)
	}
	return nil
}

// A gateway is a running Caddy.
type gateway struct {
	address, admin string
	command        *exec.Cmd
	exited         chan struct{}
	log            bytes.Buffer // to be read once it has exited
	lines          []*line      // connections that are kept alive
}

// patience is how long a gateway may take to start or end.
const patience = 20 * time.Second

// start starts a Caddy and waits until it serves. In the Caddyfile, $SITE and
// $ADMIN stand for addresses of its own; the site answers for every host, so
// that all gateways can be sent the same bytes.
func start(ctx context.Context, at place, caddyfile string) (*gateway, error) {
	home, err := os.MkdirTemp(at.folder, "home-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	g := &gateway{exited: make(chan struct{})}
	for _, address := range []*string{&g.address, &g.admin} {
		if *address, err = freeAddress(ctx); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(home, "Caddyfile")
	_, port, _ := net.SplitHostPort(g.address)
	text := strings.NewReplacer("$SITE", ":"+port, "$ADMIN", g.admin).Replace(caddyfile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	//nolint:gosec // both paths are this program's own
	g.command = exec.CommandContext(ctx, at.binary, "run", "--config", file, "--adapter", "caddyfile")
	g.command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	g.command.Stdout, g.command.Stderr = &g.log, &g.log
	if err := g.command.Start(); err != nil {
		return nil, fmt.Errorf("starting caddy: %w", err)
	}
	go func() {
		_ = g.command.Wait()
		close(g.exited)
	}()
	if err := g.await(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// await waits until the site accepts connections.
func (g *gateway) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", g.address)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-g.exited:
			return fmt.Errorf("caddy ended at once:\n%s", g.log.String())
		case <-ctx.Done():
			g.stop()
			return fmt.Errorf("caddy did not start: %w\n%s", ctx.Err(), g.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (g *gateway) stop() {
	for _, line := range g.lines {
		line.close()
	}
	_ = g.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(patience):
		_ = g.command.Process.Kill()
		<-g.exited
	}
}

// processorTime is what all threads of the gateway have used so far, in user and
// kernel mode. Linux tells it to the nanosecond for each thread; the process's
// own number comes in hundredths of a second. Go's threads live on, so none is
// lost from the sum.
func (g *gateway) processorTime() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.command.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, errors.New("reading processor time: there is no /proc/<pid>/task/<tid>/schedstat; the benchmark needs Linux")
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		used, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		sum += time.Duration(used)
	}
	return sum, nil
}

// profileSeconds is how long a profile is taken.
const profileSeconds = 10

// profile writes a processor profile, as Caddy's admin endpoint offers it.
func (g *gateway) profile(ctx context.Context, file string) error {
	address := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", g.admin, profileSeconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking for a profile: %w", err)
	}
	client := &http.Client{Timeout: 3 * profileSeconds * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking for a profile: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for a profile: status %d: %w", answer.StatusCode, err)
	}
	return os.WriteFile(file, content, 0o600)
}

// freeAddress is a loopback address with a port that was free a moment ago.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
