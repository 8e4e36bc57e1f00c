package store

import (
	"context"
	"time"
)

// A Rate is how many events may happen in how long a time: so many at once, and as
// many again spread evenly over each window.
type Rate struct {
	// Events is at least 1.
	Events int
	// Window is at least a microsecond for each event.
	Window time.Duration
}

// Interval is how long it takes until one event more may happen.
func (r Rate) Interval() time.Duration { return r.Window / time.Duration(max(r.Events, 1)) }

// Taken is the answer to one event.
type Taken struct {
	// Allowed tells whether the event may happen, and was counted.
	Allowed bool
	// Remaining is how many more may happen at once.
	Remaining int
	// ResetAfter is when as many may happen at once as the rate says, if none happens
	// before.
	ResetAfter time.Duration
	// RetryAfter is when one event may happen. It is 0 for one that is allowed.
	RetryAfter time.Duration
}

// Rates count events by key. Not every Store is one: a limit counts in its own process
// where the store is none.
//
// They follow the generic cell rate algorithm: of each key one instant is kept, the one
// at which it has all of its rate again. From then on it need not be remembered.
type Rates interface {
	// Take counts one event of this purpose and key, unless it is one too many: then
	// nothing is counted, so that somebody who goes on asking is let in at the same
	// instant as somebody who waits. Of all calls with one purpose and key, on all nodes,
	// no more are allowed than the rate says.
	//
	// A key is used with one rate: where the rate changes, the key has to be another. It
	// may be any octets. If err is not nil, Allowed is false and the event may have been
	// counted; a call that went out twice, over a connection that broke, may count twice.
	Take(ctx context.Context, purpose Purpose, key string, rate Rate) (Taken, error)
}
