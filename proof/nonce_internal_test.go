package proof

import (
	"testing"
	"testing/synctest"
	"time"
)

// The clock of the node that made a nonce may be ahead of this one's by a little, and
// never by more.
func TestNoncesOfAClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nonces, err := NewNonces(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for ahead, want := range map[uint64]bool{0: true, 1: true, 2: false, 1 << 40: false} {
			good, current := nonces.Check(nonces.make(nonces.keys[0], nonces.slot()+ahead))
			if good != want || current != want {
				t.Errorf("%d stretches ahead: %t, %t", ahead, good, current)
			}
		}
	})
}
