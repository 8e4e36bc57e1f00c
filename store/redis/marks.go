package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Mark implements store.Marks. It takes one round trip, and two while secrets rotate.
// What is stored is a text of this call's own: where a broken connection makes the call
// go out twice, the second finds that text and knows that the first was it.
func (s *Store) Mark(ctx context.Context, purpose store.Purpose, id string, until time.Time) (fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, s.fault(ctx, "marking", err)
	}
	life := remaining(until)
	if life == 0 {
		return false, nil
	}
	names, err := s.ring.ordered(use{kindMark, purpose}, id)
	if err != nil {
		return false, err
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	mine := rand.Text()
	for _, name := range names {
		if fresh, err = s.first(limited, name, mine, life); err != nil {
			return false, s.fault(ctx, "marking", err)
		}
		if !fresh {
			return false, nil
		}
	}
	return true, nil
}

func (s *Store) first(ctx context.Context, name, mine string, life int64) (bool, error) {
	before, err := s.calls.Do(ctx, "set", name, mine, "nx", "get", "px", life).Text()
	if errors.Is(err, redis.Nil) {
		return true, nil
	}
	return err == nil && before == mine, err
}
