package handlers

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-gatehouse/gatehouse/audit"
)

// A step is what one directive adds to a request's trace. The zero value belongs
// to a request that nobody traces, and costs nothing.
type step struct{ span trace.Span }

// begin makes a child of the span that Caddy's tracing handler put into the
// context.
func begin(ctx context.Context, name string) (context.Context, step) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, step{}
	}
	//nolint:spancheck // step.end ends it
	ctx, child := parent.TracerProvider().Tracer("gatehouse").Start(ctx, name)
	return ctx, step{span: child} //nolint:spancheck // likewise
}

// begin is begin for directives that share a caller. That there is no span is
// learned only at the end of a long chain of contexts, so one of them looks for it
// and not each.
func (c *caller) begin(ctx context.Context, name string) (context.Context, step) {
	if c.untraced == ctx {
		return ctx, step{}
	}
	ctx, begun := begin(ctx, name)
	if begun.span == nil {
		c.untraced = ctx
	}
	return ctx, begun
}

// traced tells whether somebody traces the request. What a step says at its end is put
// together only then.
func (s step) traced() bool { return s.span != nil }

// end ends the step. An error marks it; its text stays out, since spans travel
// further than audit trails.
func (s step) end(err error, attributes ...attribute.KeyValue) {
	if s.span == nil {
		return
	}
	// A copy, so that the arguments need no memory of their own where none trace.
	s.span.SetAttributes(slices.Clone(attributes)...)
	if err != nil {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// A stopwatch tells how long something took. It asks the monotonic clock alone:
// time.Now asks two clocks, which every request would pay for.
type stopwatch time.Duration

var epoch = time.Now() //nolint:gochecknoglobals // what all stopwatches count from

func startWatch() stopwatch { return stopwatch(time.Since(epoch)) }

func (s stopwatch) took() time.Duration { return time.Since(epoch) - time.Duration(s) }

// requestEvent begins an audit event about a request and its caller.
func requestEvent(r *http.Request, who *caller, outcome audit.Outcome) audit.Event {
	event := audit.Event{
		Outcome: outcome, Method: r.Method, Host: r.Host, Path: r.URL.Path,
		RemoteIP: clientIP(r), RequestID: requestID(r), Token: who.token,
	}
	if !who.found.Raw.IsZero() {
		event.Fingerprint = who.found.Raw.String()
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
