package revocation

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	// refillBatch is how many events are written before the log is read again.
	refillBatch = 500
	// refilling and refillName are where nodes say that they write the list again.
	refilling  = store.Purpose("revocations_refill")
	refillName = "under way"
	// refillMark is how long that counts, and refillRenew how often it is said anew: a
	// node that dies meanwhile keeps nobody waiting.
	refillMark  = 10 * time.Second
	refillRenew = 3 * time.Second
	// refillPatience is how long a node waits for the others at most before it serves by
	// what it has read: twice as long as a million revocations took on a slow machine.
	// It waits that long only while others go on saying that they write.
	refillPatience = 15 * time.Minute
)

// refill writes into a log that has begun anew what this node still knows and the log
// does not. Other nodes do the same: what they have written is read meanwhile.
func (f *follower) refill(ctx context.Context) error {
	rest := len(f.missing)
	var records []store.Record
	for now := time.Now(); rest > 0 && len(records) < refillBatch; rest-- {
		if f.list.seen(f.missing[rest-1], f.lifeMark(), now) {
			continue
		}
		event := f.missing[rest-1].event()
		data, err := event.encode()
		if err != nil {
			return err
		}
		records = append(records, store.Record{ID: event.ID, Data: data, Until: event.Until})
	}
	if len(records) > 0 {
		_, err := ask(ctx, f.State, appendPatience, func(ctx context.Context) (struct{}, error) {
			f.sayRefilling(ctx)
			return struct{}{}, f.appendAll(ctx, records)
		})
		if err != nil {
			return fmt.Errorf("writing again what the log has lost: %w", err)
		}
	}
	f.missing = f.missing[:rest]
	return nil
}

// appendAll puts records into the log as fast as that can.
func (s *State) appendAll(ctx context.Context, records []store.Record) error {
	if batcher, ok := s.log.(store.Batcher); ok {
		return batcher.AppendAll(ctx, logName, records)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(appendsAtOnce)
	for i := range records {
		group.Go(func() error { return s.log.Append(ctx, logName, records[i].ID, records[i].Data, records[i].Until) })
	}
	return group.Wait()
}

// sharedValues is where nodes tell each other, nil for a log of one node.
func (s *State) sharedValues() store.Values {
	whole, ok := s.log.(store.Store)
	if !ok || !store.IsShared(whole) {
		return nil
	}
	return whole
}

// sayRefilling tells other nodes, now and then, that the log lacks something. Where
// that fails the log is filled all the same.
func (f *follower) sayRefilling(ctx context.Context) {
	if values := f.sharedValues(); values != nil && time.Since(f.said) > refillRenew {
		f.said = time.Now()
		_ = values.Put(ctx, refilling, refillName, []byte{1}, f.said.Add(refillMark))
	}
}

// othersRefill tells whether a node that has read the log to its end should read on
// before it serves, since others are still writing what it lacks. One that brings a
// list along knows what there is.
func (f *follower) othersRefill(ctx context.Context) (bool, error) {
	values := f.sharedValues()
	if values == nil || f.inherits {
		return false, nil
	}
	under, err := ask(ctx, f.State, appendPatience, func(ctx context.Context) (bool, error) {
		_, found, err := values.Get(ctx, refilling, refillName)
		return found, err
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("asking whether other nodes write the list again: %w", err)
	case !under:
		return false, nil
	case f.since.IsZero():
		f.since = time.Now()
		f.log.WarnContext(ctx, "other nodes are writing the list of revocations again: waiting for them", "at_most", refillPatience.String())
	}
	return time.Since(f.since) < refillPatience, nil
}
