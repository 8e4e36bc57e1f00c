package revocation

import (
	"context"
	"time"
)

// Succeed makes a state that nobody follows or watches yet go on from another one of
// this process, whose configuration is being replaced. Both know the same from then on,
// whichever of them learns it: no revocation is forgotten because an operator moves the
// store, and what began under the other one ends when it is revoked. Whoever follows
// the new one writes into its log what that lacks. The function returned ends that.
//
// same tells that both have one log. Then the list is as whole as the other one's, and
// no request waits until it was read once more.
func (s *State) Succeed(other *State, same bool) (cancel func()) {
	s.known = other.known
	s.newLife() // the log may lack what is known
	s.rereading, s.inherits = true, true
	if !same {
		return s.Subscribe(func(batch *Batch) {
			if batch.from != s {
				// What the log of another one has, this one gets too, whenever it comes.
				go s.RevokeAll(context.Background(), copied(batch.Events))
			}
		})
	}
	if other.loaded.Load() {
		s.reachedEnd(time.Now().Add(-other.age()))
		s.loaded.Store(true)
	}
	return func() {}
}

func copied(events []*Event) []Event {
	copies := make([]Event, len(events))
	for i, event := range events {
		copies[i] = *event
	}
	return copies
}
