//go:build cluster

package cluster_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// namespaces are machines with a network namespace each. The test's own namespace
// holds two bridges, and every machine a leg on each.
type namespaces struct{ machines atomic.Int32 }

// The two networks exist in these namespaces alone.
const (
	frontNetwork = "10.77.0."
	backNetwork  = "10.78.0."
)

func newNamespaces() *namespaces {
	n := new(namespaces)
	n.machines.Store(1)
	return n
}

func (*namespaces) String() string { return "network namespaces, one for each node and one for Redis" }

func (*namespaces) address() string { return frontNetwork + "1" }

// raise makes the bridges in the namespace that the process is in, and tries out one
// leg.
func (*namespaces) raise() error {
	for _, line := range []string{
		"link set lo up",
		"link add front type bridge", "addr add " + frontNetwork + "1/24 dev front", "link set front up",
		"link add back type bridge", "addr add " + backNetwork + "1/24 dev back", "link set back up",
		"link add trial type veth peer name trial2", "link set trial master back", "link del trial",
	} {
		if err := ip(exec.Command("ip", strings.Fields(line)...), (*exec.Cmd).Start); err != nil {
			return err
		}
	}
	return nil
}

func (n *namespaces) machine(tb testing.TB) *machine {
	tb.Helper()
	number := n.machines.Add(1)
	if number > 250 {
		tb.Fatal("no address is left for another machine")
	}
	id := strconv.Itoa(int(number))
	m := &machine{
		thread: newThread(tb, true), front: frontNetwork + id, back: backNetwork + id, network: n,
		sever: func(tb testing.TB) { tb.Helper(); here(tb, "link set back"+id+" down") },
		mend:  func(tb testing.TB) { tb.Helper(); here(tb, "link set back"+id+" up") },
		route: func(_ testing.TB, address string) string { return address },
	}
	m.there(tb, "link set lo up")
	for leg, address := range map[string]string{"front": m.front, "back": m.back} {
		here(tb, fmt.Sprintf("link add %s%s type veth peer name %s netns %d", leg, id, leg, m.id))
		here(tb, fmt.Sprintf("link set %s%s master %s up", leg, id, leg))
		m.there(tb, "addr add "+address+"/24 dev "+leg)
		m.there(tb, "link set "+leg+" up")
	}
	return m
}

// here runs `ip` in the test's namespace.
func here(tb testing.TB, line string) {
	tb.Helper()
	if err := ip(exec.Command("ip", strings.Fields(line)...), (*exec.Cmd).Start); err != nil {
		tb.Fatal(err)
	}
}

// there runs `ip` in the machine's.
func (m *machine) there(tb testing.TB, line string) {
	tb.Helper()
	if err := ip(exec.Command("ip", strings.Fields(line)...), m.start); err != nil {
		tb.Fatal(err)
	}
}

func ip(command *exec.Cmd, start func(*exec.Cmd) error) error {
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	err := start(command)
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
