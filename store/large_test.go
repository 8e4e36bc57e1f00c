//go:build !race

package store_test

import (
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// The bounds that a store has where nobody sets others.

func TestLargeRecords(t *testing.T) { boundsRecords(t, store.NewMemory(0), store.DefaultRecords) }

func TestLargeValues(t *testing.T) { boundsValues(t, 1, store.DefaultValues) }

func TestLargeMarksWrittenAnew(t *testing.T) {
	writesMarksAnew(t, func(*store.Memory) {}, 25_000, 8<<20)
}
