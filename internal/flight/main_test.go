package flight

import (
	"testing"

	"go.uber.org/goleak"
)

// Whoever leaves work behind leaves its goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
