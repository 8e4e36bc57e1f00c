package harness

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take to come true. It is never a measure:
// tests that pass do not wait for it.
const patience = 90 * time.Second

// A Gateway is a running Caddy with Gatehouse.
type Gateway struct {
	// URL is where its site listens: the address that $SITE stood for.
	URL string
	// Admin is its admin endpoint.
	Admin string

	tb      testing.TB
	process *Process
	replace *strings.Replacer
	// reloaded tells that servers of before may still be closing.
	reloaded bool
}

// Start starts a Caddy with a Caddyfile. In it, $SITE stands for the address of
// a free loopback port (http://127.0.0.1:port) and $ADMIN for the admin
// endpoint's; further pairs are replaced as they are. A Caddyfile that begins
// with a global block gets the harness's own settings added to it.
func Start(tb testing.TB, caddyfile string, pairs ...string) *Gateway {
	tb.Helper()
	site, admin := FreeAddress(tb), FreeAddress(tb)
	g := &Gateway{URL: "http://" + site, Admin: "http://" + admin, tb: tb}
	g.replace = strings.NewReplacer(append([]string{"$SITE", g.URL, "$ADMIN", admin}, pairs...)...)
	folder := tb.TempDir()
	file := filepath.Join(folder, "Caddyfile")
	if err := os.WriteFile(file, []byte(g.complete(caddyfile)), 0o600); err != nil {
		tb.Fatal(err)
	}
	command := exec.Command(Binary(tb), "run", "--config", file, "--adapter", "caddyfile")
	command.Dir = folder
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder,
		"GORACE=exitcode=66 atexit_sleep_ms=50") // by default each process sleeps for a second
	g.process = StartProcess(tb, "the gateway", command)
	tb.Cleanup(g.Stop)
	g.process.AwaitReady(g.started)
	return g
}

// complete fills in addresses and the admin endpoint.
func (g *Gateway) complete(caddyfile string) string {
	text := g.replace.Replace(strings.TrimLeft(caddyfile, "\n\t "))
	const global = "\tadmin %s\n\tpersist_config off\n\tgrace_period 1s\n"
	settings := fmt.Sprintf(global, strings.TrimPrefix(g.Admin, "http://"))
	if rest, ok := strings.CutPrefix(text, "{\n"); ok {
		return "{\n" + settings + rest
	}
	return "{\n" + settings + "}\n" + text
}

func (g *Gateway) started() bool {
	answer, err := client.Get(g.Admin + "/config/apps/http")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK && strings.Contains(g.Log(), "serving initial configuration")
}

// Stop ends the gateway and fails the test if it did not end well: a race, a
// panic.
func (g *Gateway) Stop() {
	g.process.Stop()
	if text := g.Log(); reports(text) {
		g.tb.Errorf("the gateway reported:\n%s", text)
	}
}

// Reload gives the running gateway another Caddyfile, and returns why it was
// refused, if it was.
func (g *Gateway) Reload(caddyfile string) error {
	answer, err := g.load(g.complete(caddyfile))
	// Caddy moves its admin endpoint to another socket at each reload, and the
	// system resets who waits at the old one. To load the same once more changes
	// nothing.
	for range 5 {
		if err == nil {
			break
		}
		pause()
		answer, err = g.load(g.complete(caddyfile))
	}
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(string(body))
	}
	g.reloaded = true
	return nil
}

func (g *Gateway) load(caddyfile string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, g.Admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	return client.Do(request)
}

// Metrics is what Prometheus would read.
func (g *Gateway) Metrics() string {
	g.tb.Helper()
	answer, err := client.Get(g.Admin + "/metrics")
	if err != nil {
		g.tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		g.tb.Fatal(err)
	}
	return string(body)
}

// Log is everything the gateway has written so far.
func (g *Gateway) Log() string { return g.process.Output() }

// Eventually waits until a condition holds, and fails the test if it never does.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("never came true: %s", what)
		}
		pause()
	}
}

// pause lets other processes work between two looks at a condition.
func pause() { <-time.After(10 * time.Millisecond) }

// FreeAddress is a loopback address with a port that was free a moment ago.
//
// It is below the ports that systems choose from, for servers of tests and for
// connections (32768 and up on Linux, RFC 6335 says 49152): one of those could take it
// before the gateway listens there.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	const lowest, highest, attempts = 12_000, 32_000, 1000
	for range attempts {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = listener.Close()
		if _, given := given.LoadOrStore(address, nil); !given {
			return address
		}
	}
	tb.Fatal("there is no free port")
	return ""
}

// given are the addresses that this process has handed out. Caddy shares ports: a site
// would be answered by another one, or by the admin endpoint.
var given sync.Map

// Kill ends the gateway as a power failure would: it cleans nothing up.
func (g *Gateway) Kill() {
	g.tb.Helper()
	g.process.Kill()
}

// Signal sends the gateway's process a signal.
func (g *Gateway) Signal(signal os.Signal) {
	g.tb.Helper()
	g.process.Signal(signal)
}

// Run runs a command of the gateway's own binary, and returns what it says and
// whether it ended well.
func (g *Gateway) Run(arguments ...string) (said string, ok bool) {
	g.tb.Helper()
	out, err := exec.Command(Binary(g.tb), arguments...).CombinedOutput()
	return string(out), err == nil
}
