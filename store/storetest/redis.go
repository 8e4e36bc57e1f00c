package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a redis-server of a test's own, on a loopback port, with its files in a
// directory of the test's. It ends with the test.
type Redis struct {
	// Port is where it listens.
	Port int
	// CA is the file with the certificate that signed the server's, if it speaks TLS.
	CA string

	tb    testing.TB
	dir   string
	args  []string
	cmd   *exec.Cmd
	ended chan struct{} // closed once the process is gone
}

// RedisOptions say how the server runs.
type RedisOptions struct {
	// Password that clients must show. Default: none.
	Password string
	// TLS alone, with a certificate for 127.0.0.1.
	TLS bool
	// AppendOnly writes each change through to the disk before it is answered.
	AppendOnly bool
	// Args are options more, such as "--replicaof", "127.0.0.1 6379".
	Args []string

	ready string // what the log says once it serves
	file  string // a file with options, which the server may write
}

const (
	redisReady = "Ready to accept connections"
	// startTimeout is far above what a start takes on a busy machine.
	startTimeout = 30 * time.Second
	startTries   = 5
)

// StartRedis starts a server and waits until it answers.
func StartRedis(tb testing.TB, options RedisOptions) *Redis {
	tb.Helper()
	if options.ready == "" {
		options.ready = redisReady
	}
	// The port is free until somebody else takes it: then it is another one's turn.
	for try := 1; ; try++ {
		r := prepareRedis(tb, options)
		err := r.start(options.ready)
		if err == nil {
			tb.Cleanup(r.Kill)
			return r
		}
		if try == startTries {
			tb.Fatalf("starting redis-server, which make needs installs: %v", err)
		}
	}
}

func prepareRedis(tb testing.TB, options RedisOptions) *Redis {
	tb.Helper()
	r := &Redis{Port: freePort(tb), tb: tb, dir: tb.TempDir()}
	port := strconv.Itoa(r.Port)
	r.args = []string{"--bind", "127.0.0.1", "--dir", r.dir, "--save", "", "--daemonize", "no"}
	if options.TLS {
		r.CA = filepath.Join(r.dir, "ca.pem")
		certificate, key := writeCertificate(tb, r.dir, r.CA)
		r.args = append(r.args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
			"--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", r.CA)
	} else {
		r.args = append(r.args, "--port", port)
	}
	if options.Password != "" {
		r.args = append(r.args, "--requirepass", options.Password)
	}
	if options.AppendOnly {
		r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	r.args = append(r.args, options.Args...)
	if options.file != "" {
		r.args = append([]string{options.file}, r.args...)
	}
	return r
}

// Addr is its host and port.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)) }

// URL is redis://host:port, or rediss:// where it speaks TLS.
func (r *Redis) URL() string {
	if r.CA != "" {
		return "rediss://" + r.Addr()
	}
	return "redis://" + r.Addr()
}

// Kill ends it at once, as a fault of the machine would. A server that is gone already
// stays so.
func (r *Redis) Kill() {
	_ = r.cmd.Process.Kill()
	<-r.ended
}

// Stop ends it as an operator would.
func (r *Redis) Stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	<-r.ended
}

// Freeze lets it answer nobody, without closing a connection, until Thaw.
func (r *Redis) Freeze() { _ = r.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets it answer again.
func (r *Redis) Thaw() { _ = r.cmd.Process.Signal(syscall.SIGCONT) }

// Restart starts it again on its port, with what it has on its disk.
func (r *Redis) Restart() {
	r.tb.Helper()
	if err := r.start(redisReady); err != nil {
		r.tb.Fatal("starting redis-server again:", err)
	}
}

// RestartEmpty starts it again without what it had.
func (r *Redis) RestartEmpty() {
	r.tb.Helper()
	for _, name := range []string{"appendonlydir", "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			r.tb.Fatal(err)
		}
	}
	r.Restart()
}

func (r *Redis) start(ready string) error {
	// Not with the test's context: that one ends before the clean-up.
	cmd := exec.CommandContext(context.WithoutCancel(r.tb.Context()), "redis-server", r.args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd, r.ended = cmd, make(chan struct{})
	serves := make(chan struct{})
	said := new(strings.Builder)
	go func() {
		defer close(r.ended)
		listen(out, ready, serves, said)
		_ = cmd.Wait()
	}()
	select {
	case <-serves:
		return nil
	case <-r.ended:
		return fmt.Errorf("it ended:\n%s", said)
	case <-time.After(startTimeout):
		r.Kill()
		return fmt.Errorf("it did not become ready:\n%s", said)
	}
}

// listen reads what the server says, so that it can always say more, and keeps it until
// it serves.
func listen(out io.Reader, ready string, serves chan<- struct{}, said *strings.Builder) {
	serving := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if serving {
			continue
		}
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), ready) {
			serving = true
			close(serves)
		}
	}
}

// freePort finds a port that is free, and the one ten thousand above it, by which the
// nodes of a Cluster talk. It lies below those that systems give to outgoing connections.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if free(tb, port) && free(tb, port+10_000) {
			return port
		}
	}
	tb.Fatal("no port is free")
	return 0
}

func free(tb testing.TB, port int) bool {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}
