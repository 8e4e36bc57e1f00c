package redis

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// pipelined is how many records are on their way to Redis at once: few enough for the
// others who ask it to be answered in between.
const pipelined = 250

// AppendAll implements store.Batcher, in a round trip for each few hundred records.
func (s *Store) AppendAll(ctx context.Context, log store.Purpose, records []store.Record) error {
	for some := range slices.Chunk(records, pipelined) {
		// The first one alone makes Redis know the script.
		if err := s.Append(ctx, log, some[0].ID, some[0].Data, some[0].Until); err != nil {
			return err
		}
		if err := s.appendSome(ctx, log, some[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) appendSome(ctx context.Context, log store.Purpose, records []store.Record) error {
	pipeline, names := s.calls.Pipeline(), s.logKeys(log)
	var calls []*redis.Cmd
	for i := range records {
		args, err := s.appendArgs(log, &records[i], s.config.Records)
		if err != nil {
			return err
		}
		if args != nil {
			calls = append(calls, appendScript.EvalSha(ctx, pipeline, names, args...))
		}
	}
	if len(calls) == 0 {
		return nil
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	_, _ = pipeline.Exec(limited) // each call has its own error
	for _, call := range calls {
		if err := s.appended(ctx, log, call, s.config.Records); err != nil {
			return err
		}
	}
	return nil
}

var _ store.Batcher = (*Store)(nil)
