//go:build !race

package signing

import "testing"

func TestLargeCalmWorld(t *testing.T) { calm(t, 5, 6) }

func TestLargeRaces(t *testing.T) { passEachOther(t, 3) }
