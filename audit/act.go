package audit

import (
	"context"
	"log/slog"
	"strings"
)

// An Act is something an operator did to the running gateway.
type Act struct {
	// Name is what was done: rotate_keys, retire_key, revoke.
	Name string
	// RemoteIP is where the order came from.
	RemoteIP string
	// Kids are the keys it was done to.
	Kids []string
	// Revocation names the event that was put on the list of revocations, Kind, Issuer
	// and Reason what it is about and why.
	Revocation, Kind, Issuer, Reason string
	// Err says why nothing came of it, nil if it was done.
	Err error
}

// Operated writes an act of an operator, at INFO.
func (t *Trail) Operated(ctx context.Context, act Act) {
	if t == nil || t.log == nil {
		return
	}
	attributes := texts("act", act.Name, "remote_ip", act.RemoteIP, "kid", strings.Join(act.Kids, " "),
		"revocation", act.Revocation, "kind", act.Kind, "issuer", act.Issuer, "reason", act.Reason)
	if act.Err != nil {
		attributes = append(attributes, slog.String("error", act.Err.Error()))
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "operated", attributes...)
}
