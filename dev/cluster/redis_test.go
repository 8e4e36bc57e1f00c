//go:build cluster

package cluster_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A redis is a redis-server on a machine of its own, which writes what it is told into
// a file (appendonly).
type redis struct {
	*machine
	*process

	tb      testing.TB
	address string
	folder  string
	shown   certificate
	log     *record
}

// redisPassword is the password of the one user.
const redisPassword = "canary-redis-password"

func startRedis(tb testing.TB, shown certificate) *redis {
	tb.Helper()
	m := fabric.machine(tb)
	r := &redis{machine: m, tb: tb, folder: tb.TempDir(), shown: shown, log: new(record), address: m.free(tb, m.back)}
	r.run()
	tb.Cleanup(func() {
		r.kill()
		if tb.Failed() {
			tb.Logf("Redis's log:\n%s", r.log.tail())
		}
	})
	return r
}

func (r *redis) run() {
	r.tb.Helper()
	host, port, _ := net.SplitHostPort(r.address)
	command := exec.Command("redis-server", "--bind", host, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", r.shown.file, "--tls-key-file", r.shown.key, "--tls-ca-cert-file", r.shown.file, "--dir", r.folder, "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--requirepass", redisPassword)
	r.process = r.launch(r.tb, r.log, command)
	eventually(r.tb, "Redis answers", func() bool {
		if !r.running() {
			r.tb.Fatalf("Redis ended at once:\n%s", r.log.tail())
		}
		_, err := r.ask("PING")
		return err == nil
	})
}

// empty kills it and brings it back with nothing in it.
func (r *redis) empty() {
	r.tb.Helper()
	r.kill()
	if err := os.RemoveAll(r.folder); err != nil {
		r.tb.Fatal(err)
	}
	if err := os.Mkdir(r.folder, 0o700); err != nil {
		r.tb.Fatal(err)
	}
	r.run()
}

// ask sends one command whose answer is a single line.
func (r *redis) ask(words ...string) (string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", r.address, &tls.Config{RootCAs: r.shown.roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	reader := bufio.NewReader(conn)
	for _, command := range [][]string{{"AUTH", redisPassword}, words} {
		text := "*" + strconv.Itoa(len(command)) + "\r\n"
		for _, word := range command {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			return "", err
		}
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(line, "-") {
			return "", fmt.Errorf("%s: %s", command[0], strings.TrimSpace(line))
		}
		if command[0] != "AUTH" {
			return strings.TrimSpace(line), nil
		}
	}
	return "", nil
}

// logged is how many revocations Redis has.
func (r *redis) logged(tb testing.TB) int {
	tb.Helper()
	said, err := r.ask("XLEN", "gatehouse:{l:revocations}:stream")
	if err != nil {
		return 0
	}
	number, err := strconv.Atoi(strings.TrimPrefix(said, ":"))
	if err != nil {
		tb.Fatalf("XLEN: %s", said)
	}
	return number
}
