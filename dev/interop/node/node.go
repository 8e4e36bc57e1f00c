// Package node starts the JavaScript programs of the interoperability runs.
package node

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Folder is where a program of the runs lies, such as "interop/node".
func Folder(name string) string {
	return filepath.Join(harness.Root(), "dev", filepath.FromSlash(name))
}

var installed sync.Map // folder → *sync.Once

// Install installs what the lock file in a folder pins, unless it is there.
func Install(tb testing.TB, folder string) {
	tb.Helper()
	once, _ := installed.LoadOrStore(folder, new(sync.Once))
	once.(*sync.Once).Do(func() { install(tb, folder) }) //nolint:forcetypeassert // the only type that is put there
}

// install runs none of the packages' own scripts: nothing here needs them.
func install(tb testing.TB, folder string) {
	tb.Helper()
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		tb.Fatal(err)
	}
	mark := filepath.Join(folder, "node_modules", ".gatehouse-lock")
	if done, err := os.ReadFile(mark); err == nil && bytes.Equal(done, lock) {
		return
	}
	command := exec.CommandContext(tb.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("npm ci in %s: %v\n%s", folder, err, out)
	}
	if err := os.WriteFile(mark, lock, 0o600); err != nil { //nolint:gosec // a folder of this project
		tb.Fatal(err)
	}
}

// A Program is a running Node.js program.
type Program struct {
	tb      testing.TB
	command *exec.Cmd
	exited  chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Start starts a script of a folder and waits until it says "ready". It ends
// with the test.
func Start(tb testing.TB, folder, script string, arguments ...string) *Program {
	tb.Helper()
	Install(tb, folder)
	p := &Program{tb: tb, exited: make(chan struct{})}
	p.command = exec.CommandContext(tb.Context(), "node", append([]string{script}, arguments...)...) //nolint:gosec // a script of this project
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }             // with the test
	p.command.Dir = folder
	p.command.Stdout, p.command.Stderr = p, p
	if err := p.command.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = p.command.Wait()
		close(p.exited)
	}()
	tb.Cleanup(p.stop)
	harness.Eventually(tb, script+" is ready", func() bool {
		select {
		case <-p.exited:
			tb.Fatalf("%s ended:\n%s", script, p.Output())
		default:
		}
		return strings.Contains(p.Output(), "ready\n")
	})
	return p
}

// Write implements io.Writer: it keeps what the program says.
func (p *Program) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(data)
}

// Output is everything that the program has said so far.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// stop waits for the end that the end of the test's context has brought on.
func (p *Program) stop() {
	<-p.exited
	if p.tb.Failed() {
		p.tb.Logf("%s said:\n%s", p.command.Path, p.Output())
	}
}
