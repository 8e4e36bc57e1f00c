//go:build cluster

package cluster_test

import (
	"os"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// fabric is what the machines of all tests hang on.
var fabric network

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var status int
	if fabric, status = enter(); fabric == nil {
		return status
	}
	defer harness.Discard()
	figures.setf("machines", "%s", fabric)
	status = m.Run()
	if figures.failed != nil {
		_, _ = os.Stderr.WriteString(figures.failed.Error() + "\n")
		return 1
	}
	return status
}
