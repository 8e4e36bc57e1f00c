package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	// pageSize is how many records are read at once.
	pageSize = 1000
	// readWait is how long a read waits for something new, and with that how often
	// there is contact with a store that is well: the list is twice as old at most,
	// which must lie within the shortest bound that can be configured.
	readWait = 300 * time.Millisecond
	// readPatience is how much longer it may take.
	readPatience = 5 * time.Second
	// retryLeast and retryMost are the pauses after failures, each twice as long as the
	// last one.
	retryLeast = 100 * time.Millisecond
	retryMost  = 3 * time.Second
	sweepEach  = time.Minute
)

// A follower is one call of Follow.
type follower struct {
	*State

	log      *slog.Logger
	failures int
	swept    time.Time
}

// Follow reads the log until ctx ends: first all of it, then what comes in. A second
// call waits until the first has ended. A store that does not answer is asked again,
// ever more rarely; the log gets a line when that begins and when it ends.
func (s *State) Follow(ctx context.Context, log *slog.Logger) {
	select {
	case s.following <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.following }()
	f := &follower{State: s, log: log, swept: time.Now()}
	for ctx.Err() == nil {
		err := f.step(ctx)
		if ctx.Err() != nil {
			return
		}
		f.report(ctx, err)
		if now := time.Now(); now.Sub(f.swept) > sweepEach {
			s.list.sweep(now)
			f.swept = now
		}
		if err != nil {
			pause(ctx, backoff(f.failures))
		}
	}
}

// Load reads the log to its end where nobody has done so yet nor is about to, and
// gives up when ctx ends or the store fails: Follow goes on trying. So a node whose
// store is well refuses no request for want of the list.
func (s *State) Load(ctx context.Context, log *slog.Logger) error {
	select {
	case s.following <- struct{}{}:
	default:
		return nil // somebody follows
	}
	defer func() { <-s.following }()
	f := &follower{State: s, log: log}
	for !s.loaded.Load() {
		if err := f.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report tells the operator when the log cannot be read any more, and when it can be.
func (f *follower) report(ctx context.Context, err error) {
	switch {
	case err != nil && f.failures == 0:
		f.log.ErrorContext(ctx, "following the revocations of other nodes", "error", err)
	case err == nil && f.failures > 0:
		f.log.InfoContext(ctx, "following the revocations of other nodes works again")
	}
	if err != nil {
		f.failures++
	} else {
		f.failures = 0
	}
}

// backoff is the pause after that many failures in a row, less a random part of it:
// nodes that lost their store together must not come back together.
func backoff(failures int) time.Duration {
	longest := retryMost
	if failures < 10 {
		longest = min(retryMost, retryLeast<<failures)
	}
	return longest/2 + rand.N(longest/2) //nolint:gosec // spreads load
}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step reads one page, and then writes some of what the log lacks.
func (f *follower) step(ctx context.Context) error {
	began := time.Since(f.began)
	page, err := f.read(ctx)
	if errors.Is(err, store.ErrReset) {
		f.position, f.rereading, f.missing = "", true, nil
		f.newLife()
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.apply(f.decode(ctx, page.records), f.lifeMark(), false); err != nil {
		return err
	}
	f.position = page.next
	if f.reached(len(page.records)) {
		f.contact.Store(int64(began))
		f.loaded.Store(true)
		if f.rereading {
			f.rereading, f.missing = false, f.list.unseen(f.lifeMark())
		}
	}
	return f.refill(ctx)
}

// reached tells whether a page of that many records reached the end. A whole list is
// one behind which there was nothing; afterwards a page with room left will do, since
// where revocations never cease none is empty.
func (f *follower) reached(records int) bool {
	if !f.loaded.Load() || f.rereading {
		return records == 0
	}
	return records < pageSize
}

// lifeMark is the life of the log as events of the list bear it.
func (s *State) lifeMark() uint8 { return uint8(s.life.Load()) } //nolint:gosec // it counts round

func (f *follower) decode(ctx context.Context, records []store.Record) []*Event {
	now := time.Now()
	events := make([]*Event, 0, len(records))
	for _, record := range records {
		event, err := decode(record.Data, now)
		if err == nil {
			events = append(events, event)
			continue
		}
		if f.undecodable.Add(1) == 1 {
			f.log.ErrorContext(ctx, "leaving out a revocation that cannot be read", "revocation", record.ID, "error", err)
		}
	}
	return events
}

type page struct {
	records []store.Record
	next    store.Position
}

// read asks for the next page. Where there is something to do it does not wait.
func (f *follower) read(ctx context.Context) (page, error) {
	wait := readWait
	if !f.loaded.Load() || f.rereading || len(f.missing) > 0 {
		wait = 0
	}
	position := f.position
	return ask(ctx, f.State, wait+readPatience, func(ctx context.Context) (found page, err error) {
		found.records, found.next, err = f.State.log.Read(ctx, logName, position, pageSize, wait)
		return found, err
	})
}

// ask asks the store something and waits for the answer no longer than it may take,
// nor than ctx: whatever the store does, Follow must end, and say that it fails. A
// store that does not let go keeps one goroutine, and is not asked again before it does.
func ask[T any](ctx context.Context, s *State, patience time.Duration, question func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel() // here: an answer must not be taken for the end of the wait
	var none T
	select {
	case s.asking <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("the store has not answered yet: %w", ctx.Err())
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := question(ctx)
		<-s.asking
		answered <- answer{value, err}
	}()
	select {
	case got := <-answered:
		return got.value, got.err
	case <-ctx.Done():
	}
	// Its context ends with the question as well, right behind the answer.
	select {
	case got := <-answered:
		return got.value, got.err
	default:
		return none, fmt.Errorf("the store does not answer: %w", ctx.Err())
	}
}

// refillBatch is how many events are written before the log is read again.
const refillBatch = 100

// refill writes into a log that has begun anew what this node still knows and the log
// does not. Other nodes do the same: what they have written is read meanwhile.
func (f *follower) refill(ctx context.Context) error {
	began := time.Now()
	for range refillBatch {
		last := len(f.missing) - 1
		if last < 0 || time.Since(began) > readWait {
			break
		}
		if !f.list.seen(f.missing[last], f.lifeMark(), time.Now()) {
			if err := f.rewrite(ctx, f.missing[last].event()); err != nil {
				return err
			}
		}
		f.missing = f.missing[:last]
	}
	return nil
}

func (f *follower) rewrite(ctx context.Context, event Event) error {
	data, err := event.encode()
	if err != nil {
		return err
	}
	_, err = ask(ctx, f.State, appendPatience, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f.State.log.Append(ctx, logName, event.ID, data, event.Until)
	})
	if err != nil {
		return fmt.Errorf("writing again what the log has lost: %w", err)
	}
	return nil
}
