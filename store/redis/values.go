package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Put implements store.Values, in one round trip.
func (s *Store) Put(ctx context.Context, purpose store.Purpose, key string, value []byte, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, "putting", err)
	}
	if len(value) > store.MaxValue {
		return fmt.Errorf("putting: the value has %d octets, and at most %d are kept", len(value), store.MaxValue)
	}
	life := remaining(until)
	if life == 0 {
		return s.Delete(ctx, purpose, key)
	}
	names, all, err := s.value(purpose, key)
	if err != nil {
		return err
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	_, err = s.calls.Pipelined(limited, func(pipe redis.Pipeliner) error {
		for _, name := range names {
			sealed, err := seal(all, name, value, until)
			if err != nil {
				return err
			}
			pipe.Do(limited, "set", name, sealed, "px", life)
		}
		return nil
	})
	if err != nil {
		return s.fault(ctx, "putting", err)
	}
	return nil
}

// Get implements store.Values, in one round trip. What does not open counts as not
// there.
func (s *Store) Get(ctx context.Context, purpose store.Purpose, key string) (value []byte, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, s.fault(ctx, "getting", err)
	}
	names, all, err := s.value(purpose, key)
	if err != nil {
		return nil, false, err
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	held := make([]*redis.StringCmd, len(names))
	_, err = s.calls.Pipelined(limited, func(pipe redis.Pipeliner) error {
		for i, name := range names {
			held[i] = pipe.Get(limited, name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, false, s.fault(ctx, "getting", err)
	}
	for i, name := range names {
		value, found, err := s.standing(purpose, all, name, held[i])
		if err != nil {
			return nil, false, s.fault(ctx, "getting", err)
		}
		if found {
			return value, true, nil
		}
	}
	return nil, false, nil
}

// Delete implements store.Values, in one round trip.
func (s *Store) Delete(ctx context.Context, purpose store.Purpose, key string) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, "deleting", err)
	}
	names, _, err := s.value(purpose, key)
	if err != nil {
		return err
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	_, err = s.calls.Pipelined(limited, func(pipe redis.Pipeliner) error {
		for _, name := range names {
			pipe.Del(limited, name)
		}
		return nil
	})
	if err != nil {
		return s.fault(ctx, "deleting", err)
	}
	return nil
}

func (s *Store) value(purpose store.Purpose, key string) (names []string, all []keys, err error) {
	u := use{kindValue, purpose}
	if names, err = s.ring.names(u, key); err != nil {
		return nil, nil, err
	}
	all, err = s.ring.of(u)
	return names, all, err
}

// standing opens what stands under one name.
func (s *Store) standing(purpose store.Purpose, all []keys, name string, held *redis.StringCmd) (value []byte, found bool, err error) {
	sealed, err := held.Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, until, err := open(all, name, sealed)
	if err != nil {
		s.cannotOpen(Unreadable{Purpose: purpose})
		return nil, false, nil //nolint:nilerr // it is counted, and as good as not there
	}
	return value, time.Now().Before(until), nil
}
