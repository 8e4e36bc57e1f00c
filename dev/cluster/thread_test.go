//go:build cluster

package cluster_test

import (
	"net"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// A thread is one of the system's, for itself: a network namespace and the wish to die
// with somebody belong to threads and not to goroutines.
type thread struct {
	calls chan func()
	// id is the thread's number, by which `ip` finds its namespace.
	id int
}

// newThread makes a thread that ends with the test. With fresh it is in a network
// namespace of its own, which ends with the last process in it.
func newThread(tb testing.TB, fresh bool) *thread {
	tb.Helper()
	t := &thread{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		t.id = syscall.Gettid()
		var err error
		if fresh {
			err = syscall.Unshare(syscall.CLONE_NEWNET)
		}
		ready <- err
		for call := range t.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		tb.Fatalf("a network namespace: %v", err)
	}
	tb.Cleanup(func() { close(t.calls) })
	return t
}

// start starts a command there. It dies with the thread, and so with the test's
// process, whatever that dies of.
func (t *thread) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	t.calls <- func() { done <- command.Start() }
	return <-done
}

// listen listens there.
func (t *thread) listen(address string) (net.Listener, error) {
	var listener net.Listener
	var err error
	done := make(chan struct{})
	t.calls <- func() {
		listener, err = net.Listen("tcp", address)
		close(done)
	}
	<-done
	return listener, err
}
