package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	pageSize  = 1000
	readWait  = time.Second
	retryWait = 200 * time.Millisecond
	// refillSlice and refillWidth: a log that lost a million events is filled again
	// while it is read, or the list would be too old to trust meanwhile.
	refillSlice = 500 * time.Millisecond
	refillWidth = 16
	sweepEach   = time.Minute
)

// Follow reads the log until ctx ends: first all of it, then what comes in. A second
// call waits until the first has ended.
func (s *State) Follow(ctx context.Context, log *slog.Logger) {
	s.following.Lock()
	defer s.following.Unlock()
	swept := time.Now()
	troubled := false
	for ctx.Err() == nil {
		err := s.step(ctx)
		if now := time.Now(); now.Sub(swept) > sweepEach {
			s.list.sweep(now)
			swept = now
		}
		if failed := err != nil && ctx.Err() == nil; failed != troubled {
			troubled = failed
			if failed {
				log.Error("the log of revocations cannot be read", "error", err)
			} else {
				log.Info("the log of revocations can be read again")
			}
		}
		if err != nil {
			pause(ctx, retryWait)
		}
	}
}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step reads one page, after it has written some of what a log that has begun anew
// lacks.
func (s *State) step(ctx context.Context) error {
	began := time.Now()
	refilling := s.refill(ctx, began.Add(refillSlice))
	wait := readWait
	if !s.loaded.Load() || len(s.lacking) > 0 || s.more {
		wait = 0
	}
	records, next, err := s.log.Read(ctx, logName, s.position, pageSize, wait)
	if errors.Is(err, store.ErrReset) {
		s.position, s.lacking = "", s.list.Events()
		return nil
	}
	if err != nil {
		return err
	}
	events := make([]*Event, 0, len(records))
	for _, record := range records {
		if event, err := decode(record.Data); err == nil {
			events = append(events, event)
		}
	}
	s.apply(events)
	s.position = next
	s.more = len(records) > 0
	if len(records) < pageSize {
		if len(records) == 0 {
			began = began.Add(wait) // the log waited that long, and nothing came
		}
		s.contact.Store(began.UnixNano())
		s.loaded.Store(true)
	}
	return refilling
}

// refill writes into a log that has begun anew what this node still knows, until it is
// done or time is up. What could not be written is tried again. Records that are there
// already, as other nodes do the same, are not written twice.
func (s *State) refill(ctx context.Context, end time.Time) error {
	for len(s.lacking) > 0 && time.Now().Before(end) {
		some := s.lacking[:min(refillWidth, len(s.lacking))]
		failed := make([]error, len(some))
		var writing sync.WaitGroup
		for i := range some {
			writing.Go(func() { failed[i] = s.write(ctx, &some[i]) })
		}
		writing.Wait()
		for _, err := range failed {
			if err != nil {
				return fmt.Errorf("writing again what the log lost: %w", err)
			}
		}
		s.lacking = s.lacking[len(some):]
	}
	return nil
}

// write appends one event.
func (s *State) write(ctx context.Context, event *Event) error {
	data, err := event.encode()
	if err != nil {
		return err
	}
	return s.log.Append(ctx, logName, event.ID, data, event.Until)
}
