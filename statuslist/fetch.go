package statuslist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// typeList is the typ of a Status List Token (section 5.1).
const typeList = "statuslist+jwt"

var (
	errType      = errors.New("typ is not statuslist+jwt")
	errAlgorithm = errors.New("alg is not one that the issuer signs with")
	errSignature = errors.New("no key of the issuer made the signature")
	errOlder     = errors.New("it is older than the one that is held")
)

// fetch gets one list, and tells what came of it. Its time is its own.
func (l *Lists) fetch(one *entry) (*held, error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.config.FetchTimeout)
	defer cancel()
	got, outcome, err := l.get(ctx, one)
	if ctx.Err() != nil && err != nil {
		outcome = OutcomeUnreachable
	}
	l.config.Observe(outcome)
	l.report(one, err)
	return got, err
}

func (l *Lists) get(ctx context.Context, one *entry) (*held, Outcome, error) {
	slots := l.config.State.slots
	if one.held.Load() != nil || l.config.State.watches.count(one.uri) > 0 {
		slots = l.config.State.renewals
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, OutcomeUnreachable, ctx.Err()
	}
	text, life, err := l.config.Fetcher.StatusList(ctx, one.uri)
	if err != nil {
		return nil, OutcomeUnreachable, err
	}
	list, err := l.verify(ctx, one.uri, text)
	switch {
	case errors.Is(err, keys.ErrUnavailable):
		return nil, OutcomeNoKeys, err
	case err != nil:
		return nil, OutcomeInvalid, err
	}
	now := time.Now()
	// An old list that is played again would take back what was revoked since.
	if before := l.usable(one.held.Load(), now); before != nil && list.issued.Before(before.issued) {
		return nil, OutcomeInvalid, errOlder
	}
	return l.hold(list, life, now), OutcomeOK, nil
}

// verify reads a Status List Token. Nothing of it is read, and nothing decompressed,
// before the signature is known to be the issuer's.
func (l *Lists) verify(ctx context.Context, uri, text string) (*List, error) {
	jws, err := jose.ParseJWS(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(strings.TrimPrefix(strings.ToLower(jws.Header.Type), "application/"), typeList) {
		return nil, errType
	}
	key, err := l.signer(ctx, jws)
	if err != nil {
		return nil, err
	}
	list, err := parseList(jws.Payload, expectation{
		uri: uri, issuer: l.config.Issuer, leeway: l.config.Leeway, now: time.Now(),
	})
	if err != nil {
		return nil, err
	}
	list.key = key
	return list, nil
}

// signer is the issuer's key that made the signature. The algorithm is the key's and
// the configuration's, never the token's alone.
func (l *Lists) signer(ctx context.Context, jws *jose.JWS) (*jose.Key, error) {
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !l.allows(alg) {
		return nil, errAlgorithm
	}
	found, err := l.config.Keys.Find(ctx, jws.Header.KeyID, alg)
	if err != nil {
		return nil, fmt.Errorf("finding its key: %w", err)
	}
	for _, key := range found {
		if jws.VerifyWith(key, alg) == nil {
			return key, nil
		}
	}
	return nil, errSignature
}

// hold says how long a list serves. What it says itself comes before what the server
// says (section 8.2), and both within bounds (section 11.5).
func (l *Lists) hold(list *List, life time.Duration, now time.Time) *held {
	switch {
	case list.ttl > 0:
		life = list.ttl
	case life <= 0:
		life = defaultLife
	}
	life = min(max(life, minLife), maxLife)
	until := now.Add(life + graceless)
	if !list.expires.IsZero() {
		life = min(life, max(list.expires.Sub(now), minLife))
		until = list.expires.Add(l.config.Leeway)
		if latest := now.Add(maxStale); until.After(latest) {
			until = latest
		}
	}
	return &held{
		List: list, fetched: now, until: until, stale: now.Add(life),
		renew: now.Add(time.Duration(renewAt * float64(life))),
	}
}

// report says that a list cannot be had, or can again, once.
func (l *Lists) report(one *entry, err error) {
	where, _, _ := strings.Cut(one.uri, "?")
	log := l.config.Log.With(slog.String("issuer", l.config.Issuer), slog.String("list", where))
	l.config.State.mu.Lock()
	failed := one.problem != ""
	l.config.State.mu.Unlock()
	switch {
	case err == nil && failed:
		log.Info("fetching a status list works again")
	case err == nil:
	case !failed:
		log.Warn("fetching a status list", slog.Any("error", err))
	default:
		log.Debug("fetching a status list", slog.Any("error", err))
	}
}
