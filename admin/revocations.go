package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// maxRevocationBody bounds the body of a revocation.
const maxRevocationBody = 64 << 10

// defaultRevocationLife is how long a revocation is kept that does not say.
const defaultRevocationLife = 30 * 24 * time.Hour

var errBadRevocation = errors.New("the body is not a revocation")

// A revocationOrder is the body of POST /gatehouse/revocations.
type revocationOrder struct {
	Kind   revocation.Kind `json:"kind"`
	Issuer string          `json:"issuer"`
	Value  string          `json:"value"`
	Before time.Time       `json:"before,omitzero"`
	For    caddy.Duration  `json:"for,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

func readOrder(r *http.Request) (order revocationOrder, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRevocationBody))
	if err == nil {
		err = json.Unmarshal(body, &order)
	}
	if err != nil {
		return order, fmt.Errorf("%w: %w", errBadRevocation, err)
	}
	return order, nil
}

func (o revocationOrder) event(now time.Time) revocation.Event {
	life := time.Duration(o.For)
	if life <= 0 {
		life = defaultRevocationLife
	}
	return revocation.Event{
		Kind: o.Kind, Issuer: o.Issuer, Value: o.Value, Before: o.Before, Until: now.Add(life), Reason: o.Reason, By: "admin",
	}
}

func (a *API) revoke(r *http.Request, app Operated) (any, error) {
	order, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	event, err := app.Revocations().Revoke(r.Context(), order.event(time.Now()))
	app.Trail().Operated(r.Context(), audit.Act{
		Name: "revoke", RemoteIP: remoteIP(r), Revocation: event.ID, Kind: string(event.Kind),
		Issuer: event.Issuer, Reason: event.Reason, Err: err,
	})
	return event, err
}

func (a *API) listRevocations(_ *http.Request, app Operated) (any, error) {
	return app.Revocations().List().Events(), nil
}
