package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// farewell is how long the gateway may take to end before it is killed.
const farewell = 10 * time.Second

// errEnded is returned when the gateway ended and nobody had told it to.
var errEnded = errors.New("the gateway ended by itself")

// A gateway is the running gatehouse-dev.
type gateway struct {
	command *exec.Cmd
	// folder holds Caddy's data and the log, and goes when the demo ends.
	folder string
	log    *os.File
	exited chan struct{}

	mu     sync.Mutex
	faults string
	trail  []Decision
	follow func(Decision)
	// tokens counts log lines with something like a JWT in them.
	tokens int
	keep   bool
}

// start starts gatehouse-dev and waits until it serves.
func start(ctx context.Context, o Options) (*gateway, error) {
	if err := checkPorts(ctx); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "gatehouse-dev.log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	g := &gateway{folder: folder, log: log, exited: make(chan struct{})}
	// Not bound to ctx: it is told to end, not killed; see stop.
	//nolint:gosec // the Makefile names both files
	g.command = exec.CommandContext(context.WithoutCancel(ctx), o.Gateway, "run", "--config", o.Caddyfile, "--adapter", "caddyfile")
	g.command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	g.command.Stdout, g.command.Stderr = &lines{take: g.takeLine}, &lines{take: g.takeLine}
	if err := g.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", o.Gateway, err), log.Close(), os.RemoveAll(folder))
	}
	go func() {
		_ = g.command.Wait() // how it ended does not matter, only that it did
		close(g.exited)
	}()
	err = await(ctx, "the gateway's start", func(context.Context) bool { return g.faultsToken() != "" || g.ended() })
	if err == nil && g.ended() {
		err = errEnded
	}
	if err != nil {
		err = fmt.Errorf("%w; its log ends so:\n%s", err, g.logTail())
		g.stop()
		return nil, err
	}
	return g, nil
}

// faultsPrefix begins what dev_idp prints for the one who started it.
const faultsPrefix = "faults token: "

// takeLine reads one line of the gateway's output: the audit trail on standard
// output, everything else on standard error.
func (g *gateway) takeLine(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if before, token, ok := strings.Cut(line, faultsPrefix); ok && strings.HasPrefix(before, "dev_idp ") {
		g.faults = strings.TrimSpace(token)
		line = before + faultsPrefix + "(not for logs)"
	}
	_, _ = fmt.Fprintln(g.log, line) // a log that cannot be written fails nothing
	// Each JWT begins so: it is `{"` in base64url.
	if strings.Contains(line, "eyJ") {
		g.tokens++
	}
	if d, ok := parseDecision(line); ok {
		g.trail = append(g.trail, d)
		if g.follow != nil {
			g.follow(d)
		}
	}
}

func (g *gateway) faultsToken() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.faults
}

// decisions are those so far that are about the path and what lies below it.
func (g *gateway) decisions(below string) []Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []Decision
	for _, d := range g.trail {
		if strings.HasPrefix(d.Path, below) {
			found = append(found, d)
		}
	}
	return found
}

func (g *gateway) tokensLogged() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tokens
}

// followTrail calls show for each decision from now on.
func (g *gateway) followTrail(show func(Decision)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow = show
}

func (g *gateway) ended() bool {
	select {
	case <-g.exited:
		return true
	default:
		return false
	}
}

// logTail is the end of the log.
func (g *gateway) logTail() string {
	text, err := os.ReadFile(g.log.Name())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-20):], "\n")
}

// keepLog is for a walk that failed: its log stays and is named, or, in CI, where
// nobody could read it later, its end is shown.
func (g *gateway) keepLog(page *Page, ci bool) {
	page.Line("")
	if ci {
		page.Line("The gateway's log ends so:\n" + g.logTail())
		return
	}
	g.keep = true
	page.Line("The gateway's log is kept: " + g.log.Name())
}

// stop ends the gateway and removes what it wrote.
func (g *gateway) stop() {
	_ = g.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-g.exited:
	case <-time.After(farewell):
		_ = g.command.Process.Kill()
		<-g.exited
	}
	_ = g.log.Close()
	if !g.keep {
		_ = os.RemoveAll(g.folder)
	}
}

// lines is an io.Writer that hands on whole lines, without their end.
type lines struct {
	take func(string)
	rest string
}

// Write implements io.Writer.
func (l *lines) Write(data []byte) (int, error) {
	all := strings.Split(l.rest+string(data), "\n")
	last := len(all) - 1
	l.rest = all[last]
	for _, line := range all[:last] {
		l.take(line)
	}
	return len(data), nil
}
