package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// Binary builds gatehouse-dev, once in a run, and returns its path.
func Binary(tb testing.TB) string {
	tb.Helper()
	build.once.Do(func() {
		folder, err := os.MkdirTemp("", "gatehouse-test-") //nolint:usetesting // it outlives the test that asks first
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(folder, "gatehouse-dev")
		arguments := append([]string{"build", "-buildvcs=false", "-o", build.path}, raceFlags...)
		command := exec.Command("go", append(arguments, "./cmd/gatehouse-dev")...)
		command.Dir = filepath.Join(Root(), "dev")
		build.out, build.err = command.CombinedOutput()
	})
	if build.err != nil {
		tb.Fatalf("building gatehouse-dev: %v\n%s", build.err, build.out)
	}
	return build.path
}

// Discard removes what Binary built. TestMain calls it at the end.
func Discard() {
	if build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path))
	}
}

// Root is the project's top folder.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("harness: the binary does not know its source files")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
