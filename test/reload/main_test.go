// Package reload_test changes the configuration of a running Caddy with
// Gatehouse, and looks at what stays and what goes.
package reload_test

import (
	"os"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}
