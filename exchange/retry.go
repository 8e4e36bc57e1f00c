package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// Between the first and the second attempt: long enough for a server behind a
// load balancer to be another one, and not the same for all who wait.
const (
	retryAfterLeast = 50 * time.Millisecond
	retryAfterMost  = 150 * time.Millisecond
)

// post asks a leg's server within its client's timeout, and once more if that is
// allowed and the first attempt shows a passing fault. An exchange does not use its
// subject up (RFC 8693, section 2.1); the client proves itself anew each time.
func (x *Exchanger) post(ctx context.Context, l *leg, form url.Values, again bool) (*authserver.TokenResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Client.Timeout())
	defer cancel()
	answer, err := l.request(ctx, form)
	if err == nil || !again || !passing(err) {
		return answer, err
	}
	pause := time.NewTimer(retryAfterLeast + rand.N(retryAfterMost-retryAfterLeast)) //nolint:gosec // spreads load
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return nil, err
	case <-pause.C:
		return l.request(ctx, form)
	}
}

// request asks once, with a fresh proof where the token is to be bound.
func (l *leg) request(ctx context.Context, form url.Values) (*authserver.TokenResponse, error) {
	if client, ok := l.Client.(BoundRequester); ok && l.prover != nil {
		return client.TokenProved(ctx, form, l.prover)
	}
	return l.Client.Token(ctx, form)
}

// passing tells whether another attempt may go better. One that took too long left
// no time, and a server that wants a pause gets it.
func passing(err error) bool {
	if refused, ok := errors.AsType[*authserver.Refusal](err); ok {
		return refused.Status >= http.StatusInternalServerError && !wantsPause(refused) && refused.RetryAfter == 0
	}
	return errors.Is(err, authserver.ErrUnreachable)
}
