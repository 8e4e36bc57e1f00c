package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	// maxPage is how many records one answer holds at most.
	maxPage = 1000
	// defaultSlice is the longest that one call waits in Redis. Between two the life of
	// the log is looked at again, and a reader that went away leaves its connection.
	defaultSlice = time.Second
	// sweepEvery and sweepSome are how often a reader that meets ended records clears
	// some away, and how many. Each Append clears some, too.
	sweepEvery = 10 * time.Second
	sweepSome  = 256
)

// graceMilli is how long the scripts leave a record behind its end.
var graceMilli = store.Grace.Milliseconds()

// Append implements store.Log, in one round trip.
func (s *Store) Append(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	return s.append(ctx, log, id, data, until, s.config.Records)
}

// AppendLeaving implements store.Reserver.
func (s *Store) AppendLeaving(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	return s.append(ctx, log, id, data, until, s.config.Records-store.Reserve(s.config.Records))
}

func (s *Store) append(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time, most int) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, appending, err)
	}
	args, err := s.appendArgs(log, &store.Record{ID: id, Data: data, Until: until}, most)
	if err != nil || args == nil {
		return err
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	return s.appended(ctx, log, appendScript.Run(limited, s.calls, s.logKeys(log), args...), most)
}

const appending = "appending"

// appendArgs are those of the script, nil for a record that has ended.
func (s *Store) appendArgs(log store.Purpose, record *store.Record, most int) ([]any, error) {
	if len(record.Data) > store.MaxRecord {
		return nil, fmt.Errorf("%s: the record has %d octets, and at most %d are kept", appending, len(record.Data), store.MaxRecord)
	}
	if !record.Until.After(time.Unix(0, 0)) {
		return nil, nil // what has ended otherwise the server tells, whose clock all have in common
	}
	u := use{kindLog, log}
	all, err := s.ring.of(u)
	if err != nil {
		return nil, err
	}
	sealed, err := sealRecord(all, s.logKeys(log)[0], record.ID, record.Data, record.Until)
	if err != nil {
		return nil, err
	}
	ciphers, err := s.ring.ciphers(u, record.ID)
	if err != nil {
		return nil, err
	}
	args := []any{graceMilli, milliseconds(record.Until), sealed, most, rand.Text()}
	for _, name := range ciphers {
		args = append(args, name)
	}
	return args, nil
}

// appended reads the answer of the script.
func (s *Store) appended(ctx context.Context, log store.Purpose, call *redis.Cmd, most int) error {
	switch answer, err := call.Text(); {
	case err != nil:
		return s.fault(ctx, appending, err)
	case answer == "full":
		return fmt.Errorf("%s to %s: %w: it has %d records", appending, log, store.ErrFull, most)
	}
	return nil
}

// Read implements store.Log. A reader that waits learns of a record within a round trip.
func (s *Store) Read(
	ctx context.Context, log store.Purpose, after store.Position, limit int, wait time.Duration,
) (records []store.Record, next store.Position, err error) {
	r := reader{store: s, log: log, names: s.logKeys(log), limit: min(max(limit, 1), maxPage)}
	if r.all, err = s.ring.of(use{kindLog, log}); err != nil {
		return nil, after, err
	}
	if after != "" {
		var ok bool
		if r.life, r.at, ok = parsePosition(after); !ok {
			return nil, after, fmt.Errorf("reading %s: %w", log, store.ErrReset)
		}
	}
	records, err = r.read(ctx, time.Now().Add(wait))
	if err != nil {
		return nil, after, err
	}
	return records, position(r.life, r.at), nil
}

// A reader is one call of Read.
type reader struct {
	store *Store
	log   store.Purpose
	names []string
	all   []keys
	limit int

	life string // empty until the log's is known
	at   place
	now  time.Time // by the server's clock, when it was asked last
}

// read goes past what has ended or does not open until it has as many records as were
// asked for, or all that there are.
func (r *reader) read(ctx context.Context, deadline time.Time) (records []store.Record, err error) {
	for {
		room := r.limit - len(records)
		entries, err := r.peek(ctx, room)
		if err != nil {
			return nil, err
		}
		records = append(records, r.open(ctx, entries)...)
		left := time.Until(deadline)
		switch {
		case len(records) == r.limit:
			return records, nil
		case len(entries) == room:
			continue
		case len(records) > 0, left < time.Millisecond:
			return records, nil
		}
		if entries, err = r.wait(ctx, min(left, r.store.slice)); err != nil {
			return nil, err
		}
		if records = r.open(ctx, entries); len(records) > 0 {
			return records, nil
		}
	}
}

// peek asks whether the log is still the one that it was, and for what it holds.
func (r *reader) peek(ctx context.Context, room int) ([]entry, error) {
	doing := "reading " + string(r.log)
	if err := ctx.Err(); err != nil {
		return nil, r.store.fault(ctx, doing, err)
	}
	fresh := ""
	if r.life == "" {
		fresh = rand.Text()
	}
	limited, cancel := r.store.limited(ctx)
	defer cancel()
	answer, err := readScript.Run(limited, r.store.calls, r.names, r.at.String(), room, fresh, rand.Text()).Result()
	if err != nil {
		return nil, r.store.fault(ctx, doing, err)
	}
	found, ok := parsePage(answer)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it does not speak as Redis does", doing, store.ErrUnavailable)
	}
	if err := r.store.follows(doing, found.link); err != nil {
		return nil, err
	}
	r.now = found.now
	if r.life == "" {
		r.life = found.life
	}
	if found.empty || found.life != r.life || r.at.after(found.last) {
		return nil, fmt.Errorf("%s: %w", doing, store.ErrReset)
	}
	return found.entries, nil
}

// wait waits for what comes next. The library does not leave a call when its context
// ends: so the call goes on behind the reader's back, for a slice at most, and Close
// waits for it.
func (r *reader) wait(ctx context.Context, span time.Duration) ([]entry, error) {
	doing := "waiting for " + string(r.log)
	type outcome struct {
		streams []redis.XStream
		err     error
	}
	s, done := r.store, make(chan outcome, 1)
	open := s.behind(func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), span+s.config.Timeout)
		defer cancel()
		streams, err := s.waits.XRead(limited, &redis.XReadArgs{
			Streams: []string{r.names[0]}, ID: r.at.String(), Count: int64(r.limit), Block: span,
		}).Result()
		done <- outcome{streams, err}
	})
	if !open {
		return nil, s.fault(ctx, doing, redis.ErrClosed)
	}
	select {
	case <-ctx.Done():
		return nil, s.fault(ctx, doing, ctx.Err())
	case <-s.closed:
		return nil, s.fault(ctx, doing, redis.ErrClosed)
	case got := <-done:
		if got.err != nil && !errors.Is(got.err, redis.Nil) {
			return nil, s.fault(ctx, doing, got.err)
		}
		return messages(got.streams), nil
	}
}

// open opens the entries and moves past all of them.
func (r *reader) open(ctx context.Context, entries []entry) []store.Record {
	var records []store.Record
	ended := false
	for _, e := range entries {
		r.at = e.at
		record, err := openRecord(r.all, r.names[0], e.sealed)
		if err != nil {
			r.store.cannotOpen(Unreadable{Purpose: r.log, Record: true})
			continue
		}
		if r.over(record.Until) {
			ended = true
			continue
		}
		record.Position = position(r.life, e.at)
		records = append(records, record)
	}
	if ended && r.store.due(&r.store.swept, sweepEvery) {
		r.sweep(ctx)
	}
	return records
}

// over tells whether an instant has passed by the clocks of both, the server's and this
// node's: whoever moves past a record does not come back to it, and one of the clocks
// may be ahead for a moment.
func (r *reader) over(until time.Time) bool { return !r.now.Before(until) && !time.Now().Before(until) }

// sweep clears away some of what has ended. That it fails harms nobody.
func (r *reader) sweep(ctx context.Context) {
	limited, cancel := r.store.limited(ctx)
	defer cancel()
	_ = sweepScript.Run(limited, r.store.calls, r.names, graceMilli, sweepSome).Err()
}
