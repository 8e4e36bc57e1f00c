package handlers

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/exchange"
)

// forward sends the request on with its token. An upstream that refuses the token
// (401) is given another one, once, if the request may be sent again. One that only
// wants a new nonce in the proof has not refused the token, which is kept. Its refusal
// never reaches the caller: it is not the caller's token that was refused.
func (h *TokenExchange) forward(
	w http.ResponseWriter, r *http.Request, who *caller, issued *exchange.Issued, next caddyhttp.Handler,
) error {
	upstream := &who.answer
	if upstream.ResponseWriter != nil { // an earlier token_exchange has it
		upstream = new(upstreamAnswer)
	}
	upstream.begin(w, r)
	out, carried := h.outgoing(r, who, issued)
	err := next.ServeHTTP(upstream, out)
	if carried != nil && carried.missedBy(err) {
		return fault(w, r, h.app, "bind dpop, and a reverse_proxy without transport gatehouse",
			placeOf("token_exchange", h.Place))
	}
	if err != nil || !upstream.refused {
		return err
	}
	upstream.takeBack()
	if nonceAsked(out) {
		return h.refuseNonce(w, r, who)
	}
	replaced, waited, err := h.observed(r.Context(), who, func(ctx context.Context) (*exchange.Issued, error) {
		return h.exchanger.Replace(ctx, who.exchanged(), issued)
	})
	if err != nil {
		return h.refuse(w, r, who, err, waited)
	}
	if !upstream.repeatable {
		return h.refuseUpstream(w, r, who)
	}
	return h.forwardAgain(w, upstream.request(r), who, replaced, next)
}

// forwardAgain sends a request once more, with another token, and no third time.
func (h *TokenExchange) forwardAgain(
	w http.ResponseWriter, r *http.Request, who *caller, replaced *exchange.Issued, next caddyhttp.Handler,
) error {
	again := new(upstreamAnswer)
	again.begin(w, r)
	out, _ := h.outgoing(r, who, replaced)
	err := next.ServeHTTP(again, out)
	if err != nil || !again.refused {
		return err
	}
	again.takeBack()
	if nonceAsked(out) {
		return h.refuseNonce(w, r, who)
	}
	return h.refuseUpstream(w, r, who)
}

// refuseUpstream answers for an upstream that refused its token.
func (h *TokenExchange) refuseUpstream(w http.ResponseWriter, r *http.Request, who *caller) error {
	return h.refuse(w, r, who, exchange.UpstreamRefused(), 0)
}

// refuseNonce answers for an upstream that wants a nonce of a request that cannot be
// sent again. The nonce is known now, so that the caller's next attempt has it.
func (h *TokenExchange) refuseNonce(w http.ResponseWriter, r *http.Request, who *caller) error {
	_, waited, err := h.observed(r.Context(), who, func(context.Context) (*exchange.Issued, error) {
		return nil, exchange.UpstreamNonce()
	})
	return h.refuse(w, r, who, err, waited)
}

// An upstreamAnswer passes an answer through as it comes, and holds back one that
// refuses the token. Nothing of that one gets out: its challenge is about a token
// that the caller does not have.
type upstreamAnswer struct {
	caddyhttp.ResponseWriterWrapper

	refused    bool
	own        bool // the answer is a refusal of the gateway's, not the upstream's
	begun      bool
	repeatable bool
	header     http.Header   // the answer's, until it begins
	few        [2]headerLine // the answer's header before the upstream's was added
	more       *[]headerLine // the rest of it, nil where there was none

	// What handlers behind change of the request, or remember about it.
	path, rawPath, query, uri string
	groups                    map[string]struct{}
}

// markOwn tells every token_exchange on the way of an answer that no upstream gave
// it: a directive behind them refuses the caller, and no other token would help.
func markOwn(w http.ResponseWriter) {
	for {
		if held, ok := w.(*upstreamAnswer); ok {
			held.own = true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = wrapper.Unwrap()
	}
}

// A headerLine is one header. A few of them in a list cost less than a map.
type headerLine struct {
	name   string
	values []string
}

// note notes the answer's header.
func (a *upstreamAnswer) note(header http.Header) {
	noted := 0
	for name, values := range header {
		line := headerLine{name, values}
		if noted < len(a.few) {
			a.few[noted] = line
			noted++
			continue
		}
		if a.more == nil {
			a.more = new([]headerLine)
		}
		*a.more = append(*a.more, line)
	}
}

// routeGroup is where Caddy notes which of several alternative routes a request
// took, so that it takes no second one. Sent once more it must take the same.
const routeGroup = caddy.CtxKey("route_group")

// begin notes what there is before the request is sent on.
func (a *upstreamAnswer) begin(w http.ResponseWriter, r *http.Request) {
	a.ResponseWriter, a.repeatable = w, repeatable(r)
	a.header = w.Header()
	a.note(a.header)
	if a.repeatable {
		a.path, a.rawPath, a.query, a.uri = r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI
		if taken, _ := r.Context().Value(routeGroup).(map[string]struct{}); len(taken) > 0 {
			a.groups = maps.Clone(taken)
		}
	}
}

// repeatable tells whether a request may be sent once more: its method does the
// same however often (RFC 9110, section 9.2.2), and there is no body, which is gone
// once it was sent.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.ContentLength == 0 // -1 if nobody knows
	default:
		return false
	}
}

// request is the request as it was before it was sent for the first time.
func (a *upstreamAnswer) request(r *http.Request) *http.Request {
	groups := maps.Clone(a.groups)
	if groups == nil {
		groups = make(map[string]struct{})
	}
	ctx := context.WithValue(r.Context(), routeGroup, groups)
	// Variables of its own: a connection to the upstream that is still being made for the
	// first sending reads them, and reverse_proxy writes into them for the second.
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	again := r.WithContext(ctx)
	// In place: placeholders read the request that Caddy began with, whose URL is
	// this very one.
	again.URL.Path, again.URL.RawPath, again.URL.RawQuery, again.RequestURI = a.path, a.rawPath, a.query, a.uri
	again.URL.Fragment, again.URL.RawFragment = "", "" // a request has none until it is rewritten
	return again
}

// takeBack makes the answer's header what it was before the upstream answered.
func (a *upstreamAnswer) takeBack() {
	header := a.ResponseWriter.Header()
	clear(header)
	before := a.few[:]
	if a.more != nil {
		before = append(before, *a.more...)
	}
	for _, line := range before {
		if line.name != "" {
			header[line.name] = line.values
		}
	}
}

// Header implements http.ResponseWriter. reverse_proxy asks for it a dozen times, through
// all writers in front each time. Once the answer has begun it may be another one.
func (a *upstreamAnswer) Header() http.Header {
	if a.begun {
		return a.ResponseWriter.Header()
	}
	return a.header
}

// WriteHeader implements http.ResponseWriter.
func (a *upstreamAnswer) WriteHeader(status int) {
	if !a.begun && !a.own && status == http.StatusUnauthorized {
		a.refused = true
	}
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.begun = true
	}
	if !a.refused {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *upstreamAnswer) Write(data []byte) (int, error) {
	a.begun = true
	if a.refused {
		return len(data), nil
	}
	return a.ResponseWriter.Write(data)
}

// ReadFrom implements io.ReaderFrom.
func (a *upstreamAnswer) ReadFrom(source io.Reader) (int64, error) {
	a.begun = true
	if a.refused {
		return io.Copy(io.Discard, source)
	}
	return a.ResponseWriterWrapper.ReadFrom(source)
}

// FlushError implements what http.ResponseController looks for. To flush an answer
// that is held back would begin another one.
func (a *upstreamAnswer) FlushError() error {
	if a.refused {
		return nil
	}
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker, for WebSockets.
func (a *upstreamAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Interface guards.
var (
	_ io.ReaderFrom = (*upstreamAnswer)(nil)
	_ http.Hijacker = (*upstreamAnswer)(nil)
)
