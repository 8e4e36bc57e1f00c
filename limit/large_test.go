//go:build !race

package limit_test

import "testing"

func TestLargeFloodOfKeys(t *testing.T) { flood(t, 1_000_000) }
