package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// RunWith builds a server that is written in Go, runs the tests, and returns the exit
// status for TestMain. The folder is below dev/interop and holds the module that
// pins the server; program gets the path of what was built from its package, with
// the build's environment changed as told.
func RunWith(m *testing.M, folder, pkg string, program *string, environment ...string) int {
	defer harness.Discard()
	built, err := os.MkdirTemp("", "gatehouse-interop-")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(built) }()
	*program = filepath.Join(built, "server")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", *program, pkg) //nolint:gosec // what a test of this project names
	build.Dir = filepath.Join(harness.Root(), "dev", "interop", folder)
	build.Env = append(os.Environ(), environment...)
	if out, err := build.CombinedOutput(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "building %s: %v\n%s", pkg, err, out)
		return 1
	}
	return m.Run()
}
