package revocation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	pageSize  = 1000
	readWait  = time.Second
	retryWait = 200 * time.Millisecond
	sweepEach = time.Minute
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
				log.ErrorContext(ctx, "the log of revocations cannot be read", "error", err)
			} else {
				log.InfoContext(ctx, "the log of revocations can be read again")
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

// step reads one page.
func (s *State) step(ctx context.Context) error {
	began := time.Now()
	wait := readWait
	if !s.loaded.Load() {
		wait = 0
	}
	records, next, err := s.log.Read(ctx, logName, s.position, pageSize, wait)
	if errors.Is(err, store.ErrReset) {
		s.position = ""
		return s.refill(ctx)
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
	if len(records) < pageSize {
		s.contact.Store(began.UnixNano())
		s.loaded.Store(true)
	}
	return nil
}

// refill writes into a log that has begun anew what this node still knows. Records
// that are there already are not written twice.
func (s *State) refill(ctx context.Context) error {
	for _, event := range s.list.Events() {
		data, err := event.encode()
		if err != nil {
			return err
		}
		if err := s.log.Append(ctx, logName, event.ID, data, event.Until); err != nil {
			return err
		}
	}
	return nil
}
