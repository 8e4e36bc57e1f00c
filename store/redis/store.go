package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// oldest is the release of Redis that knows all that is asked: SET with NX and GET.
const oldest = 7

// complaints is how often the log says that something does not open.
const complaints = time.Minute

// Store is the store in Redis. It connects when it is first used. Nothing of it runs in
// the background but what the library does to follow Sentinels.
type Store struct {
	config Config
	ring   *ring
	calls  redis.UniversalClient
	waits  redis.UniversalClient
	slice  time.Duration // the longest that one call waits

	gate    sync.Mutex // for waiting and closed: nobody begins to wait after Close
	waiting sync.WaitGroup
	closed  chan struct{}
	opened  atomic.Bool

	unreadable struct{ values, records atomic.Uint64 }
	blind      atomic.Bool  // INFO is forbidden, and the log says so
	complained atomic.Int64 // when, in nanoseconds since 1970
	swept      atomic.Int64 // the same
}

// New makes a store. It connects nowhere.
func New(config Config) (*Store, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	addresses, err := parseAll(config.URLs, config.Sentinel != "")
	if err != nil {
		return nil, err
	}
	keyring, err := newRing(config.Prefix, config.Seals)
	if err != nil {
		return nil, err
	}
	quiet()
	return &Store{
		config: config, ring: keyring, slice: defaultSlice, closed: make(chan struct{}),
		calls: config.callClient(addresses), waits: config.waitClient(addresses),
	}, nil
}

// Shared implements store.Sharer.
func (*Store) Shared() bool { return true }

// Open implements store.Store. It fails where the servers refuse the credentials, or
// are not who they should be, or are too old.
func (s *Store) Open(ctx context.Context) error {
	if s.opened.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	limited, cancel := s.limited(ctx)
	defer cancel()
	info, err := s.calls.Info(limited).Result()
	if replyCode(err) == "NOPERM" { // INFO is a help, and not all there is
		err = s.ping(ctx)
	}
	if err != nil && forOperators(err) {
		return s.fault(ctx, "opening the store", err)
	}
	if err != nil {
		s.config.Log.WarnContext(ctx, "store does not answer yet", "cause", cause(err, s.config.Timeout))
		return nil
	}
	if err := s.suits(info); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	s.opened.Store(true)
	return nil
}

// suits looks at what the server says of itself.
func (s *Store) suits(info string) error {
	version := infoField(info, "redis_version")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldest {
		return fmt.Errorf("it is Redis %s, and %d or later is needed", version, oldest)
	}
	if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != "noeviction" && infoField(info, "maxmemory") != "0" {
		s.config.Log.Warn("store drops what is still needed when its memory is full: set maxmemory-policy noeviction", "policy", policy)
	}
	return nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// Probe implements store.Store. Of a Cluster every master has to answer.
func (s *Store) Probe(ctx context.Context) error {
	if err := s.ping(ctx); err != nil {
		return s.fault(ctx, "probing the store", err)
	}
	return nil
}

func (s *Store) ping(ctx context.Context) error {
	limited, cancel := s.limited(ctx)
	defer cancel()
	if cluster, ok := s.calls.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(limited, func(ctx context.Context, master *redis.Client) error {
			return master.Ping(ctx).Err()
		})
	}
	return s.calls.Ping(limited).Err()
}

// Close implements store.Store. Those who wait for records are told that the store
// cannot be reached.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.isClosed() {
		s.gate.Unlock()
		return nil
	}
	close(s.closed)
	s.gate.Unlock()
	err := errors.Join(s.calls.Close(), s.waits.Close())
	s.waiting.Wait()
	if err != nil {
		return errors.New("closing the store: a connection could not be closed")
	}
	return nil
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// behind runs what goes on behind the back of its caller, and is false for a store that
// is closed.
func (s *Store) behind(run func()) bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.isClosed() {
		return false
	}
	s.waiting.Go(run)
	return true
}

// Unreadable is how many values and records did not open since the store was made. A
// record that is read again counts again.
func (s *Store) Unreadable() (values, records uint64) {
	return s.unreadable.values.Load(), s.unreadable.records.Load()
}

// cannotOpen counts what does not open, and says so now and then.
func (s *Store) cannotOpen(what Unreadable) {
	if what.Record {
		s.unreadable.records.Add(1)
	} else {
		s.unreadable.values.Add(1)
	}
	if s.config.Unreadable != nil {
		s.config.Unreadable(what)
	}
	if s.due(&s.complained, complaints) {
		values, records := s.Unreadable()
		s.config.Log.Error("store holds what no seal opens: another secret sealed it, or somebody else wrote it",
			"purpose", string(what.Purpose), "record", what.Record, "values", values, "records", records)
	}
}

// due is true for one caller in each span of time.
func (s *Store) due(last *atomic.Int64, every time.Duration) bool {
	before, now := last.Load(), time.Now().UnixNano()
	return now-before >= int64(every) && last.CompareAndSwap(before, now)
}

func (s *Store) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.Timeout)
}

// Interface guards.
var (
	_ store.Store  = (*Store)(nil)
	_ store.Sharer = (*Store)(nil)
)
