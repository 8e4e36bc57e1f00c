package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// takenParts is how many numbers the answer of takeScript has.
const takenParts = 4

// Take implements store.Rates, in one round trip. While secrets rotate it counts
// under the name of the first, which nodes without the second know, too. As another one
// takes its place, counts begin anew.
func (s *Store) Take(ctx context.Context, purpose store.Purpose, key string, rate store.Rate) (store.Taken, error) {
	const doing = "counting"
	if err := ctx.Err(); err != nil {
		return store.Taken{}, s.fault(ctx, doing, err)
	}
	names, err := s.ring.names(use{kindRate, purpose}, key)
	if err != nil {
		return store.Taken{}, err
	}
	interval := max(rate.Interval().Microseconds(), 1)
	limited, cancel := s.limited(ctx)
	defer cancel()
	answer, err := takeScript.Run(limited, s.calls, names[:1], interval, interval*int64(rate.Events)).Int64Slice()
	if err != nil {
		return store.Taken{}, s.fault(ctx, doing, err)
	}
	if len(answer) != takenParts {
		return store.Taken{}, fmt.Errorf("%s: %w: it does not speak as Redis does", doing, store.ErrUnavailable)
	}
	return store.Taken{
		Allowed: answer[0] == 1, Remaining: int(answer[1]),
		ResetAfter: time.Duration(answer[2]) * time.Microsecond, RetryAfter: time.Duration(answer[3]) * time.Microsecond,
	}, nil
}

// Interface guard.
var _ store.Rates = (*Store)(nil)
