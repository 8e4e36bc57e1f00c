package limit

import (
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// take is the generic cell rate algorithm for one key. full is the instant at which the
// key has all of its rate again; it and now are counted from one beginning. It returns
// that instant after the event.
func take(full, now time.Duration, rate store.Rate) (after time.Duration, taken store.Taken) {
	interval := rate.Interval()
	burst := interval * time.Duration(rate.Events)
	full = max(full, now)
	after = full + interval
	spare := burst - (after - now)
	if spare < 0 {
		return full, store.Taken{ResetAfter: full - now, RetryAfter: -spare}
	}
	return after, store.Taken{Allowed: true, Remaining: int(spare / interval), ResetAfter: after - now}
}
