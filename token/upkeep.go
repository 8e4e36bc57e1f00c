package token

import (
	"sync/atomic"
	"time"
)

const (
	// wheelTurn is how far a memory's clock goes, as a power of two of nanoseconds, before
	// it looks which entries have ended: about a second.
	wheelTurn = 30
	// wheelSlack is how long before a turn no request does the upkeep any more: the memory
	// reads its clock a little later than who decides.
	wheelSlack = time.Millisecond
)

// Upkeep returns what runs the upkeep of one memory, made at the same time as it. It
// runs on the goroutine whose request makes it due: that is every sixteenth read or so,
// and takes less than to start a goroutine for it and wake a thread to run it. But once
// a turn the upkeep also takes out all entries that have ended since the last one. They may
// be all that there are, where many tokens end in one second, and no request pays for
// them: that one time it runs beside it.
func Upkeep() func(upkeep func()) {
	var swept atomic.Int64
	start := time.Now()
	origin := start.UnixNano()
	return func(upkeep func()) {
		now := origin + int64(time.Since(start))
		if (now+int64(wheelSlack))>>wheelTurn == swept.Load() {
			upkeep()
			return
		}
		swept.Store(now >> wheelTurn)
		go upkeep()
	}
}
