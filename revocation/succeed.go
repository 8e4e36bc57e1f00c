package revocation

import (
	"context"
	"time"
)

// Succeed makes a state that nobody follows yet go on from another one of this
// process, whose configuration is being replaced: it knows from the beginning what the
// other one knows and hears, and whoever follows it writes into its log what that
// lacks. No revocation is forgotten because an operator moves the store. The function
// returned ends it.
//
// same tells that both have one log. Then the list is as whole as the other one's, and
// no request waits until it was read once more.
func (s *State) Succeed(other *State, same bool) (cancel func()) {
	s.life.Add(1) // what is taken over is of an earlier life: the log may lack it
	s.rereading, s.inherits = true, true
	earlier := s.lifeMark() - 1
	cancel = other.Subscribe(func(batch *Batch) {
		_, _ = s.apply(batch.Events, earlier, true)
		if !same {
			// What the log of the other one has, this one gets too, whenever it comes.
			go s.RevokeAll(context.Background(), copied(batch.Events))
		}
	})
	events := other.list.Events()
	inherited := make([]*Event, len(events))
	for i := range events {
		inherited[i] = &events[i]
	}
	_, _ = s.apply(inherited, earlier, true)
	if same && other.loaded.Load() {
		s.reachedEnd(time.Now().Add(-other.age()))
		s.loaded.Store(true)
	}
	return cancel
}

func copied(events []*Event) []Event {
	copies := make([]Event, len(events))
	for i, event := range events {
		copies[i] = *event
	}
	return copies
}
