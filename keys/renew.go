package keys

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// When key sets are renewed (RFC 9111 lets a cache choose within what the server
// allows).
const (
	minLife     = time.Minute
	maxLife     = time.Hour
	defaultLife = 10 * time.Minute
	// renewAt is the part of its life after which a set is renewed, so that it
	// is never old when it is needed.
	renewAt = 0.8
	// firstRetry and lastRetry bound the waits after a failure, which double.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// Run renews the key set until the context ends. It starts with a fetch unless
// the state already holds a set that is young enough.
func (s *Source) Run(ctx context.Context) {
	if s.config.Fetcher == nil {
		return
	}
	retry := firstRetry
	pause := s.untilRenewal()
	defer s.next.Store(0)
	for {
		s.next.Store(s.now().Add(pause).UnixNano())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		// A request may have renewed the set meanwhile.
		if pause = s.untilRenewal(); pause > 0 || s.renew(ctx) == nil {
			retry, pause = firstRetry, s.untilRenewal()
			continue
		}
		// Jitter, so that many gateways do not knock together when the issuer
		// comes back.
		pause = retry/2 + rand.N(retry) //nolint:gosec // not a secret
		retry = min(2*retry, lastRetry)
	}
}

// untilRenewal is how long the present set needs no renewal.
func (s *Source) untilRenewal() time.Duration {
	snapshot := s.current()
	if snapshot == nil {
		return 0
	}
	due := snapshot.Fetched.Add(time.Duration(renewAt * float64(s.life(snapshot))))
	return max(0, due.Sub(s.now()))
}

// life is how long a key set is young: what is configured, else what the issuer
// says within bounds. Renewal comes before the set may no longer serve.
func (s *Source) life(snapshot *Snapshot) time.Duration {
	life := defaultLife
	switch {
	case s.config.Refresh > 0:
		life = s.config.Refresh
	case snapshot.Life > 0:
		life = min(max(snapshot.Life, minLife), maxLife)
	}
	return min(life, s.config.MaxStale)
}

// renew fetches the key set, unless that is being done already.
func (s *Source) renew(ctx context.Context) error {
	joined, _ := s.config.State.board(s.config.State.Snapshot(), always, s.fetch)
	return wait(ctx, joined)
}

func always() bool { return true }

// wait waits for a flight, or until ctx ends.
func wait(ctx context.Context, joined *flight) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-joined.landed:
		return joined.err
	}
}

func (s *Source) fetch() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.FetchTimeout)
	defer cancel()
	set, life, err := s.config.Fetcher.KeySet(ctx)
	if err == nil {
		s.reportDropped(set)
		s.config.State.replace(set.Keys, s.now(), life)
	}
	turned := s.config.State.turn(err, s.now())
	s.report(turned, err)
	s.config.Observe(Refresh{Issuer: s.config.Issuer, Err: err, Keys: len(set.Keys), Turned: turned})
	return err
}

// report says that an issuer is down, or back, once: a line at every attempt
// would bury everything else for as long as the issuer is down.
func (s *Source) report(turned bool, err error) {
	log := s.config.Log.With(slog.String("issuer", s.config.Issuer))
	switch {
	case err == nil && turned:
		log.Info("renewing keys works again")
	case err == nil:
	case turned:
		log.Warn("renewing keys", slog.Any("error", err))
	default:
		log.Debug("renewing keys", slog.Any("error", err))
	}
}

// reportDropped names the members of a set that cannot be used, unless those of
// the set before were the same.
func (s *Source) reportDropped(set jose.KeySet) {
	if !s.config.State.drops(set.Dropped) {
		return
	}
	for _, dropped := range set.Dropped {
		level := slog.LevelWarn
		if dropped.Other {
			level = slog.LevelInfo // no fault of anybody's
		}
		s.config.Log.Log(context.Background(), level, "leaving out a key", slog.String("issuer", s.config.Issuer),
			slog.Int("index", dropped.Index), slog.String("reason", dropped.Reason))
	}
}
