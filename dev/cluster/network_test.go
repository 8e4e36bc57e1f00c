//go:build cluster

package cluster_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A network is what machines hang on: one for callers, one for Redis.
type network interface {
	fmt.Stringer
	// machine adds one, which ends with the test.
	machine(tb testing.TB) *machine
	// address is the test's own on the callers' network.
	address() string
}

// A machine is where a process runs.
type machine struct {
	*thread

	// front is its address for callers, back the one for the other machines.
	front, back string
	network     network
	// sever and mend cut it off from the other machines and undo that. Callers
	// reach it all the same.
	sever, mend func(tb testing.TB)
	// route is the address at which this machine reaches another one's.
	route func(tb testing.TB, address string) string
}

// place tells this program where it is: outside, trying whether it may have
// namespaces, in them, or to do without.
const place = "GATEHOUSE_CLUSTER"

// enter puts the whole test into a network namespace of its own where the machine
// allows that: the host's network is never touched, and when the last process is gone
// nothing is left. It returns no network where another process has run the tests.
func enter() (network, int) {
	switch os.Getenv(place) {
	case "loopback":
		return newLoopback(), 0
	case "probe":
		if err := newNamespaces().raise(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return nil, 1
		}
		return nil, 0
	case "namespaces":
		spaces := newNamespaces()
		if err := spaces.raise(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return nil, 1
		}
		return spaces, 0
	default:
		var why bytes.Buffer
		if err := again("probe", &why); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "no network namespaces here (%v: %s): loopback addresses instead\n", err, strings.TrimSpace(why.String()))
			return newLoopback(), 0
		}
		err := again("namespaces", nil)
		if err == nil {
			return nil, 0
		}
		return nil, 1
	}
}

// again runs this program once more, in a fresh network namespace.
func again(as string, said *bytes.Buffer) error {
	runtime.LockOSThread() // the other process dies with this thread
	defer runtime.UnlockOSThread()
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Args[0] = os.Args[0]
	command.Env = append(os.Environ(), place+"="+as)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if said != nil {
		command.Stdout, command.Stderr = said, said
	}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if id := os.Geteuid(); id != 0 { // where the system lets users have namespaces
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return command.Run()
}
