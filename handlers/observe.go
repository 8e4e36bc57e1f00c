package handlers

import (
	"context"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-gatehouse/gatehouse/audit"
)

// span begins a child of the span that Caddy's tracing handler put into the
// context; without one it costs nothing. The returned function ends it. Errors
// mark the span; their text stays out of it, since spans travel further than
// audit trails.
func span(ctx context.Context, name string) (context.Context, func(error, ...attribute.KeyValue)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	ctx, child := parent.TracerProvider().Tracer("gatehouse").Start(ctx, name)                        //nolint:spancheck // endSpan ends it
	return ctx, func(err error, attributes ...attribute.KeyValue) { endSpan(child, err, attributes) } //nolint:spancheck // likewise
}

func endSpan(child trace.Span, err error, attributes []attribute.KeyValue) {
	child.SetAttributes(attributes...)
	if err != nil {
		child.SetStatus(codes.Error, "")
	}
	child.End()
}

// requestEvent begins an audit event about a request and its caller.
func requestEvent(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := audit.Event{
		Outcome: outcome, Method: r.Method, Host: r.Host, Path: r.URL.Path,
		RemoteIP: clientIP(r), RequestID: requestID(r), Token: who.token,
	}
	if !who.raw.IsZero() {
		event.Fingerprint = who.raw.String()
	}
	return event
}

// clientIP is the client's address as Caddy sees it, trusted proxies considered.
func clientIP(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
