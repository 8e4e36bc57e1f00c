//go:build cluster

package cluster_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take to come true. It is no measure: a run that
// passes does not wait for it.
var patience = time.Duration(pick(600, 60)) * time.Second

// A process runs on a machine.
type process struct {
	command *exec.Cmd
	exited  chan struct{}
	log     *record
}

// launch starts a command there; it ends with the test at the latest.
func (m *machine) launch(tb testing.TB, log *record, command *exec.Cmd) *process {
	tb.Helper()
	p := &process{command: command, exited: make(chan struct{}), log: log}
	command.Stdout, command.Stderr = log, log
	if err := m.start(command); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = command.Wait()
		close(p.exited)
	}()
	return p
}

// running tells whether it has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// end asks it to end, and waits until it has.
func (p *process) end(tb testing.TB) {
	tb.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.kill()
		tb.Error("a process did not end when told to")
	}
}

// kill ends it as a power failure would.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}

// A record keeps what processes write.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (r *record) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(data)
}

// String implements fmt.Stringer.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// tail is the end of it.
func (r *record) tail() string {
	lines := strings.Split(r.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

// eventually waits until a condition holds, and returns how long that took.
func eventually(tb testing.TB, what string, condition func() bool) time.Duration {
	tb.Helper()
	begin := time.Now()
	for !condition() {
		if time.Since(begin) > patience {
			tb.Fatalf("never came true: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
	return time.Since(begin)
}

// grows waits until a count has come to what is wanted. It may take as long as it needs
// to, while it goes on.
func grows(tb testing.TB, what string, want int, count func() int) {
	tb.Helper()
	for most := -1; most < want; {
		before := most
		eventually(tb, fmt.Sprintf("%s, beyond %d of %d", what, before, want), func() bool {
			most = max(most, count())
			return most > before || most >= want
		})
	}
}

// insist repeats something until it does not fail.
func insist(tb testing.TB, what string, do func() error) {
	tb.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < patience; {
		if err = do(); err == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	tb.Fatalf("%s: never: %v", what, err)
}

// free is a port of one of its addresses that was free a moment ago.
func (m *machine) free(tb testing.TB, address string) string {
	tb.Helper()
	listener, err := m.listen(address + ":0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
