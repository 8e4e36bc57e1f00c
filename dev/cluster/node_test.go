//go:build cluster

package cluster_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A node is a gateway on a machine of its own, with a data directory that outlives
// its process.
type node struct {
	*machine
	*process

	tb        testing.TB
	name      string
	url       string
	admin     string
	home      string
	caddyfile string
	log       *record
}

// direct is for whoever talks to one node on purpose; callers have connections of
// their own.
var direct = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// newNode makes a node that does not run yet. In its Caddyfile $SITE, $ADMIN and
// $HOST stand for its own addresses.
func newNode(tb testing.TB, name, caddyfile string, route func(*machine, string) string) *node {
	tb.Helper()
	m := fabric.machine(tb)
	n := &node{machine: m, tb: tb, name: name, home: tb.TempDir(), log: new(record)}
	n.url, n.admin = "http://"+m.free(tb, m.front), "http://"+m.free(tb, m.front)
	n.caddyfile = strings.NewReplacer("$SITE", n.url, "$ADMIN", strings.TrimPrefix(n.admin, "http://"), "$HOST", m.front).Replace(route(m, caddyfile))
	if err := os.WriteFile(filepath.Join(n.home, "Caddyfile"), []byte(n.caddyfile), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if n.process != nil && n.running() {
			n.end(tb)
		}
		if text := n.log.String(); strings.Contains(text, "panic: ") {
			tb.Errorf("%s panicked", name)
		}
		if tb.Failed() {
			tb.Logf("the end of %s's log:\n%s", name, n.log.tail())
		}
	})
	return n
}

// boot starts the gateway; await waits until it is ready.
func (n *node) boot() {
	n.tb.Helper()
	command := exec.Command(harness.Binary(n.tb), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
	command.Dir = n.home
	command.Env = append(os.Environ(), "HOME="+n.home, "XDG_DATA_HOME="+n.home, "XDG_CONFIG_HOME="+n.home)
	n.process = n.launch(n.tb, n.log, command)
}

func (n *node) await() time.Duration {
	n.tb.Helper()
	return eventually(n.tb, n.name+" is ready", func() bool {
		if !n.running() {
			n.tb.Fatalf("%s ended:\n%s", n.name, n.log.tail())
		}
		return n.ready()
	})
}

// ready is what the node says of itself to whoever sends it requests.
func (n *node) ready() bool {
	answer, err := direct.Get(n.url + "/oauth2/ready")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// reload gives it the same Caddyfile once more, with a mark that makes it another.
func (n *node) reload(mark int) error {
	text := strings.Replace(n.caddyfile, "respond /generation 0", fmt.Sprintf("respond /generation %d", mark), 1)
	status, body, err := n.call(http.MethodPost, "/load", "text/caddyfile", []byte(text))
	if err == nil && status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", n.name, status, body)
	}
	return err
}

// call asks the admin endpoint.
func (n *node) call(method, path, contentType string, body []byte) (status int, said string, err error) {
	request, err := http.NewRequest(method, n.admin+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := direct.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// ask is one request with a token.
func (n *node) ask(path, token string) int {
	n.tb.Helper()
	request, err := http.NewRequest(http.MethodGet, n.url+path, http.NoBody)
	if err != nil {
		n.tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := direct.Do(request)
	if err != nil {
		n.tb.Errorf("%s: %v", n.name, err)
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}
