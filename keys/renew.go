package keys

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
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
	for {
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
	life := defaultLife
	if snapshot.Life > 0 {
		life = min(max(snapshot.Life, minLife), maxLife)
	}
	due := snapshot.Fetched.Add(time.Duration(renewAt * float64(life)))
	return max(0, due.Sub(s.now()))
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
	if err != nil {
		s.config.Log.Warn("renewing keys", slog.String("issuer", s.config.Issuer), slog.Any("error", err))
		s.config.Observe(Refresh{Issuer: s.config.Issuer, Err: err})
		return err
	}
	for _, dropped := range set.Dropped {
		s.config.Log.Warn("leaving out a key", slog.String("issuer", s.config.Issuer),
			slog.Int("index", dropped.Index), slog.String("reason", dropped.Reason))
	}
	s.config.State.replace(set.Keys, s.now(), life)
	s.config.Observe(Refresh{Issuer: s.config.Issuer, Keys: len(set.Keys)})
	return nil
}
