package revocation

import (
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// forget drops from the list what ended store.Grace ago, or has ended where the list is
// half full. The time is by the clock on the wall, but no later than by the one that
// nobody sets: a clock that is ahead for a moment must not empty the list.
func (s *State) forget(now time.Time) { s.list.sweep(s.endedBy(now.Round(0), now.Sub(s.began))) }

// endedBy is the instant of forget: wall is what the clock on the wall shows, and steady
// how much time has passed since the state was made.
func (s *State) endedBy(wall time.Time, steady time.Duration) time.Time {
	now := wall
	if other := s.began.Round(0).Add(steady); other.Before(now) {
		now = other
	}
	if s.list.roomy() {
		return now.Add(-store.Grace)
	}
	return now
}

// wentBack tells, once, that the clock on the wall was set back by more than the grace:
// it was ahead, maybe when the node started, and what had ended by it alone may be
// missing from the list.
func (s *State) wentBack(now time.Time) bool {
	now = now.Round(0)
	back := now.Before(s.latest.Add(-store.Grace))
	if back || now.After(s.latest) {
		s.latest = now
	}
	return back
}

// beginAnew has the log read from its beginning, and written what it lacks.
func (s *State) beginAnew() {
	s.position, s.rereading, s.missing = "", true, nil
	s.newLife()
}
