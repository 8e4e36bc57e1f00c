// Package integration_test drives a real Caddy with Gatehouse.
package integration_test

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
