package audit

import (
	"context"
	"log/slog"
	"strings"
)

// A Signal is what somebody else said of tokens: a logout token, or a Security Event
// Token.
type Signal struct {
	// Endpoint is where it came: backchannel_logout or shared_signals.
	Endpoint string
	// Place is where the directive is written, file:line.
	Place string
	// RemoteIP is where it came from, RequestID Caddy's id of the request.
	RemoteIP, RequestID string
	// Issuer, ID and Events are whose it is, its jti and what it says, once its signature
	// was verified.
	Issuer, ID string
	Events     []string
	// Revoked names each thing that is no longer good, Revocations the entries on the
	// list.
	Revoked, Revocations []string
	// Outcome is what came of it.
	Outcome string
	// Err says why it was refused, nil if it was taken; Status is the answer then.
	Err    error
	Status int
}

// Signalled writes a signal, at INFO.
func (t *Trail) Signalled(ctx context.Context, signal Signal) {
	if !t.Wants(ctx, Denied) {
		return
	}
	attributes := texts("directive", "token_events", "place", signal.Place, "endpoint", signal.Endpoint,
		"remote_ip", signal.RemoteIP, "request_id", signal.RequestID,
		"issuer", signal.Issuer, "jti", signal.ID, "events", strings.Join(signal.Events, " "),
		"rule", signal.Outcome, "revoked", strings.Join(signal.Revoked, ", "),
		"revocations", strings.Join(signal.Revocations, " "))
	if signal.Err == nil {
		t.log.LogAttrs(ctx, slog.LevelInfo, "signalled", attributes...)
		return
	}
	attributes = append(attributes, slog.String("reason", signal.Err.Error()), slog.Int("status", signal.Status))
	t.log.LogAttrs(ctx, slog.LevelInfo, "denied", attributes...)
}
