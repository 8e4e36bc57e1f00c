package store_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childRole names what a process of this test binary does instead of tests: it is one
// that tests kill, or take the disk away from.
const (
	childRole = "GATEHOUSE_STORE_CHILD"
	childPath = "GATEHOUSE_STORE_PATH"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := children[role](os.Getenv(childPath)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
