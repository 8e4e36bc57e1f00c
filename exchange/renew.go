package exchange

import (
	"context"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/flight"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// renewAgain is how long to wait after an attempt to renew ahead of time.
	renewAgain = 5 * time.Second
	// replaceAgain is how long a token that replaced a refused one is not replaced
	// in its turn: an upstream that refuses every token must not make each request
	// a call to the server.
	replaceAgain = 10 * time.Second
)

// reuse hands out a remembered token, and sees to the next one when it is time. The
// one request that does so pays nothing: the call runs beside it, and brings the
// subject token along, which is kept nowhere.
func (x *Exchanger) reuse(key cacheKey, kept *entry, caller Caller, now time.Time) *Issued {
	due := kept.renewAt.Load()
	if now.UnixNano() < due || !kept.renewAt.CompareAndSwap(due, now.Add(renewAgain).UnixNano()) {
		return kept.issued
	}
	if caller.Token != nil && caller.Token.Expiry.Sub(now) < 2*kept.keepUntil.Sub(kept.freshUntil) {
		return kept.issued // the next one would not live long enough either
	}
	go x.renewAhead(key, kept, caller)
	renewing := *kept.issued
	renewing.Renewing = true
	return &renewing
}

// renewAhead asks for the next token. It joins whoever asks for the same one. That
// the server says no for good ends the token that is kept; that it is down does
// not.
func (x *Exchanger) renewAhead(key cacheKey, kept *entry, caller Caller) {
	ctx, cancel := context.WithTimeout(context.Background(), x.timeout)
	defer cancel()
	_, err := x.share(ctx, key, func(call context.Context) (*Issued, error) {
		if newer := x.recall(call, key, caller, kept.keepUntil); newer != nil {
			return newer, nil // another node was earlier
		}
		issued, failure := x.observed(ctx, call, key, caller)
		return x.orLast(key, issued, failure) // who joins may have come when a new one was due
	})
	failure, _ := err.(*Error) //nolint:errorlint // share returns it as it is
	if failure != nil && (failure.Outcome.definitive() || failure.Outcome == OutcomeStepUp) {
		x.state.drop(key, kept.issued)
		x.withdraw(ctx, caller)
	}
}

// orLast is what came of a call: where the server is down, the token that is kept serves
// to its end.
func (x *Exchanger) orLast(key cacheKey, issued *Issued, failure *Error) (*Issued, error) {
	if failure == nil {
		return issued, nil
	}
	if failure.Outcome == OutcomeServerDown || failure.Outcome == OutcomeTimeout {
		if last := x.state.stale(key, x.config.Now()); last != nil {
			return last.degraded(failure), nil
		}
	}
	return nil, failure
}

// Replace returns another token instead of one that the upstream refused. The
// refused one is forgotten, and who comes meanwhile, with the same refused token or
// with none yet, gets the same new one. Errors are those of Exchange; if there is
// nothing better to be had, OutcomeUpstreamRefused.
func (x *Exchanger) Replace(ctx context.Context, caller Caller, refused *Issued) (*Issued, error) {
	now := x.config.Now()
	if !refused.replaced.IsZero() && now.Sub(refused.replaced) < replaceAgain {
		return nil, newError(OutcomeUpstreamRefused, errRefusedAgain)
	}
	if x.config.Local != nil {
		return x.remint(caller, refused)
	}
	if err := x.admit(caller, now); err != nil {
		return nil, err
	}
	key, err := x.key(nil, caller)
	if err != nil {
		return nil, err
	}
	issued, err := x.state.flights.Instead(ctx, key, x.timeout, flight.Successor[cacheKey, *Issued]{
		Name:  key.replacing(refused),
		Begin: func() { x.state.drop(key, refused) },
		Work: func(call context.Context, before func() (*Issued, error)) (*Issued, error) {
			return x.replace(ctx, call, before, key, caller, refused.Token)
		},
	})
	issued, err = landed(ctx, issued, err)
	return x.still(caller, issued, err)
}

func (x *Exchanger) replace(
	first, call context.Context, before func() (*Issued, error), key cacheKey, caller Caller, refused token.Raw,
) (*Issued, error) {
	if hit := x.state.fresh(key, x.config.Now()); hit != nil && hit.Token.Digest() != refused.Digest() {
		return hit, nil // somebody else replaced it already
	}
	x.withdraw(call, caller) // what other nodes find may be the refused one
	if before != nil {
		// It may have found the refused one, or have asked for another one already.
		switch issued, err := before(); {
		case err != nil && call.Err() != nil:
			return nil, newError(OutcomeTimeout, err)
		case err != nil || issued.Token.Digest() != refused.Digest():
			return issued, err
		}
	}
	issued, failure := x.observed(first, call, key, caller)
	if failure != nil {
		return nil, failure
	}
	replacing := *issued
	replacing.replaced = x.config.Now()
	x.state.markReplaced(key, &replacing)
	if issued.Token.Digest() == refused.Digest() {
		return nil, newError(OutcomeUpstreamRefused, errSameAgain)
	}
	return &replacing, nil
}

// UpstreamRefused is the error of a request whose upstream refused its token, and
// that may not be sent again or was sent again in vain.
func UpstreamRefused() *Error { return newError(OutcomeUpstreamRefused, errUpstream) }

// nonceRetry is how long a caller waits whose upstream asked for a nonce. The gateway
// has it already, but a Retry-After of zero would have clients come without any pause.
const nonceRetry = time.Second

// UpstreamNonce is the error of a request whose upstream asked for a new nonce in the
// proof (RFC 9449, section 9), and that cannot be sent again or was sent again in vain.
func UpstreamNonce() *Error {
	failure := newError(OutcomeUpstreamNonce, errNonce)
	failure.RetryAfter = nonceRetry
	return failure
}
