package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds gatehouse-dev, once in a run, and returns its path.
func Binary(tb testing.TB) string {
	tb.Helper()
	build.once.Do(func() { build.path, build.err = built() })
	if build.err != nil {
		tb.Fatalf("building gatehouse-dev: %v", build.err)
	}
	return build.path
}

// built is a name of this run's own for the gateway. The packages with tests share one
// build: to link Caddy again takes longer than many of their tests, and Go leaves a
// file as it is that nothing has changed since. As each run holds the file by a name of
// its own, a later build takes it from none.
func built() (path string, err error) {
	unlock, err := Lock("build")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	shared := filepath.Join(shelf(), "gatehouse-dev"+raceSuffix)
	arguments := append([]string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", shared}, raceFlags...)
	command := exec.Command("go", append(arguments, "./cmd/gatehouse-dev")...)
	command.Dir = filepath.Join(Root(), "dev")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	own, err := os.MkdirTemp(shelf(), "run-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(own, "gatehouse-dev")
	return path, os.Link(shared, path)
}

// shelf is the folder of what the packages with tests share.
func shelf() string { return filepath.Join(Root(), ".cache", "harness") }

// Lock waits until no other process holds the lock of that name, for what the packages
// with tests share: Go tests several at once.
func Lock(name string) (unlock func() error, err error) {
	if err := os.MkdirAll(shelf(), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(shelf(), name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}

// Discard removes the name that Binary made. TestMain calls it at the end.
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
