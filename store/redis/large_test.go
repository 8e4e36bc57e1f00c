//go:build !race

package redis_test

import "testing"

func TestLargeRefillOfRevocations(t *testing.T) { refill(t, 20_000) }
