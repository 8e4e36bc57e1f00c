package harness

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs beside a test, and ends with it.
type Process struct {
	tb      testing.TB
	name    string
	command *exec.Cmd
	said    *logBuffer
	exited  chan struct{}
}

// StartProcess starts a command under a name for messages. A test that fails shows
// what it said.
func StartProcess(tb testing.TB, name string, command *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: name, command: command, said: new(logBuffer), exited: make(chan struct{})}
	command.Stdout, command.Stderr = p.said, p.said
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = command.Wait()
		close(p.exited)
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("%s said:\n%s", name, p.Output())
		}
	})
	return p
}

// AwaitReady waits until a condition holds, and fails the test if the process ends
// before that.
func (p *Process) AwaitReady(ready func() bool) {
	p.tb.Helper()
	Eventually(p.tb, p.name+" is ready", func() bool {
		select {
		case <-p.exited:
			p.tb.Fatalf("%s ended at once:\n%s", p.name, p.Output())
		default:
		}
		return ready()
	})
}

// Output is everything that the process has said so far.
func (p *Process) Output() string { return p.said.String() }

// Signal sends the process a signal.
func (p *Process) Signal(signal os.Signal) {
	p.tb.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		p.tb.Fatal(err)
	}
}

// Stop tells the process to end, and fails the test if it does not.
func (p *Process) Stop() {
	select {
	case <-p.exited:
		return
	default:
	}
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.tb.Errorf("%s did not end when told to", p.name)
		_ = p.command.Process.Kill()
		<-p.exited
	}
}

// Kill ends the process as a power failure would: it cleans nothing up.
func (p *Process) Kill() {
	p.tb.Helper()
	p.Signal(os.Kill)
	<-p.exited
}
