package token

import (
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maypok86/otter/v2"
)

// A hundred thousand tokens may end in one second, and whoever asks next is not to wait
// until all of them are taken out.
func TestNoRequestTakesOutWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const entries = 1000
		removed, byRequest := 0, 0
		memory := otter.Must(&otter.Options[int, int]{
			MaximumSize:      2 * entries,
			Executor:         Upkeep(),
			ExpiryCalculator: otter.ExpiryWriting[int, int](3 * time.Second),
			OnAtomicDeletion: func(otter.DeletionEvent[int, int]) {
				removed++
				if strings.Contains(string(debug.Stack()), "GetIfPresent") {
					byRequest++
				}
			},
		})
		defer memory.StopAllGoroutines()
		for key := range entries {
			memory.Set(key, key)
		}
		for range 6000 { // so often that requests come before the memory's own clock
			<-time.After(time.Millisecond)
			for key := range 20 {
				memory.GetIfPresent(key)
			}
			synctest.Wait()
		}
		if removed != entries || byRequest != 0 {
			t.Errorf("%d of %d ended entries were taken out, %d of them by requests", removed, entries, byRequest)
		}
	})
}

// Between two turns the upkeep costs no goroutine.
func TestUpkeepRunsOnTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := Upkeep()
		beside, on := 0, 0
		for range 5000 {
			var runs atomic.Int32
			run(func() {
				if strings.Contains(string(debug.Stack()), "testing.tRunner(") {
					runs.Add(1)
				}
			})
			synctest.Wait()
			if runs.Load() == 1 {
				on++
			} else {
				beside++
			}
			<-time.After(time.Millisecond)
		}
		// Five turns at most begin, each with one run, and one in the millisecond before it.
		if beside+on != 5000 || beside == 0 || beside > 12 {
			t.Errorf("%d runs beside requests, %d on them", beside, on)
		}
	})
}
