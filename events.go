package gatehouse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// The Caddy events that the app emits.
const (
	eventUnreachable = "issuer_unreachable"
	eventRecovered   = "issuer_recovered"
	eventRotated     = "signing_key_rotated"
	eventRevoked     = "token_revoked"

	eventMisconfigured = "exchange_misconfigured"
)

// maxEvents bounds the events that wait while a handler of the operator's is
// busy. All but revocations come in turns of minutes; of those a list in one order
// should fit.
const maxEvents = 1024

// An emitter hands events to Caddy, away from whoever brought them about: Caddy
// runs an operator's handlers at once, and these may take their time.
type emitter struct {
	hand    func(event) // runs the handlers
	log     *slog.Logger
	waiting chan event
	dropped func() // counts an event that is dropped

	mu   sync.Mutex
	lost int       // since events are dropped
	said time.Time // when the log was last told of it
}

type event struct {
	name string
	data map[string]any
}

func newEmitter(ctx caddy.Context, log *slog.Logger, dropped func()) (*emitter, error) {
	found, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	app, ok := found.(*caddyevents.App)
	if !ok {
		return nil, fmt.Errorf("the app events is a %T", found)
	}
	hand := func(next event) { app.Emit(ctx, next.name, next.data) }
	return &emitter{hand: hand, log: log, waiting: make(chan event, maxEvents), dropped: dropped}, nil
}

// emit never waits: what does not fit is dropped.
func (e *emitter) emit(name string, data map[string]any) {
	select {
	case e.waiting <- event{name, data}:
	default:
		e.lose(name)
	}
}

// lose notes a dropped event. A line for each would bury everything else.
func (e *emitter) lose(name string) {
	e.dropped()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost++
	if e.lost > 1 && time.Since(e.said) < time.Minute {
		return
	}
	e.said = time.Now()
	e.log.Warn("events are dropped: a handler of events is too slow", "event", name, "dropped", e.lost)
}

// through notes that there is room again.
func (e *emitter) through() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost > 0 && len(e.waiting) == 0 {
		e.log.Info("events are handled again", "dropped", e.lost)
		e.lost = 0
	}
}

// run emits until the context ends.
func (e *emitter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-e.waiting:
			e.hand(next)
			e.through()
		}
	}
}

// renewed counts an attempt to renew a key set, and tells of an issuer that
// went or came back.
func (a *App) renewed(refresh keys.Refresh) {
	a.metrics.KeySetRefreshed(refresh.Issuer, refresh.Err)
	switch {
	case !refresh.Turned:
	case refresh.Err != nil:
		a.emitter.emit(eventUnreachable, map[string]any{"issuer": refresh.Issuer, "error": refresh.Err.Error()})
	default:
		a.emitter.emit(eventRecovered, map[string]any{"issuer": refresh.Issuer})
	}
}

// misconfigured tells of an exchange whose server refuses the gateway itself. The
// exchange says so once, until it works again.
func (a *App) misconfigured(label, place string) func(*exchange.Error) {
	return func(failure *exchange.Error) {
		a.emitter.emit(eventMisconfigured, map[string]any{
			"exchange": label, "place": place, "outcome": string(failure.Outcome), "code": failure.ASCode, "status": failure.ASStatus, "leg": failure.Leg,
		})
	}
}
