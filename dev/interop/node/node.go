// Package node starts the JavaScript programs of the interoperability runs.
package node

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// install runs none of the packages' own scripts: nothing here needs them. Runs of other
// packages, which need the same folder, wait: npm begins by emptying it.
func install(tb testing.TB, folder string) {
	tb.Helper()
	unlock, err := harness.Lock("npm-" + filepath.Base(folder))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = unlock() }()
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

// Start starts a script of a folder and waits until it says "ready". It ends
// with the test.
func Start(tb testing.TB, folder, script string, arguments ...string) *harness.Process {
	tb.Helper()
	Install(tb, folder)
	// It is told to end, not killed with the test's context.
	ctx := context.WithoutCancel(tb.Context())
	command := exec.CommandContext(ctx, "node", append([]string{script}, arguments...)...) //nolint:gosec // a script of this project
	command.Dir = folder
	program := harness.StartProcess(tb, script, command)
	program.AwaitReady(func() bool { return strings.Contains(program.Output(), "ready\n") })
	return program
}
