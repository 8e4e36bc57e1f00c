// Package attack_test attacks a running gateway: one test for each known way in,
// with its number in the name. Most share one gateway, which starts with the
// first test that needs it.
package attack_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.world != nil && !shared.world.end() {
		status = 1
	}
	if !minting.life.end() {
		status = 1
	}
	if sharedService.service != nil && !sharedService.service.end() {
		status = 1
	}
	harness.Discard()
	os.Exit(status)
}

// shared is what the tests attack. They run one after another.
var shared struct {
	once  sync.Once
	world *world
}

// attacked returns the gateway that all tests share, as one of them sees it.
func attacked(t *testing.T) *world {
	t.Helper()
	shared.once.Do(func() { shared.world = newWorld(new(lifetime)) })
	if shared.world == nil {
		t.Fatal("the shared gateway did not start")
	}
	view := *shared.world
	view.t = t
	return &view
}

// A lifetime is a testing.TB that ends with the package, for what outlives the
// test that came first. It has what the harness calls.
type lifetime struct {
	testing.TB

	ends   []func()
	failed bool
}

// Helper implements testing.TB.
func (*lifetime) Helper() {}

// Cleanup implements testing.TB.
func (l *lifetime) Cleanup(end func()) { l.ends = append(l.ends, end) }

// TempDir implements testing.TB.
func (l *lifetime) TempDir() string {
	folder, err := os.MkdirTemp("", "gatehouse-attack-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// Failed implements testing.TB.
func (l *lifetime) Failed() bool { return l.failed }

// Logf implements testing.TB. The log of a gateway that was attacked is long: its
// end is enough.
func (*lifetime) Logf(format string, arguments ...any) {
	const most = 16 << 10
	text := fmt.Sprintf(format, arguments...)
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	fmt.Fprintln(os.Stderr, text)
}

// Errorf implements testing.TB.
func (l *lifetime) Errorf(format string, arguments ...any) {
	l.failed = true
	l.Logf("FAIL: "+format, arguments...)
}

// Error implements testing.TB.
func (l *lifetime) Error(arguments ...any) { l.Errorf("%s", fmt.Sprint(arguments...)) }

// Fatal implements testing.TB.
func (*lifetime) Fatal(arguments ...any) { panic(fmt.Sprint(arguments...)) }

// Fatalf implements testing.TB.
func (*lifetime) Fatalf(format string, arguments ...any) { panic(fmt.Sprintf(format, arguments...)) }

// end runs the cleanups, newest first, and tells whether all is well.
func (l *lifetime) end() bool {
	for _, v := range slices.Backward(l.ends) {
		v()
	}
	return !l.failed
}
