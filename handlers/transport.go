package handlers

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/proof"
)

// Transport is the transport of reverse_proxy for tokens that an exchange binds
// with `bind dpop` or `bind mtls`. For `dpop` it makes a proof for each attempt, when
// the upstream of that attempt is known; for `mtls` it reads the files of
// `tls_client_auth` again when they change. It takes all options of the transport
// `http`, and requests without a bound token pass through it as they do there.
type Transport struct {
	reverseproxy.HTTPTransport

	shown *shownUpstream // nil without tls_client_auth of two files
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.gatehouse",
		New: func() caddy.Module { return new(Transport) },
	}
}

// A bound token travels in the request's context, so that nothing but the transport
// sees it: no placeholder, log or other handler.
type bound struct {
	issued *exchange.Issued
	prover *proof.Prover
	taken  atomic.Bool // a transport has seen it
	asked  atomic.Bool // the last answer asked for a nonce, and says nothing of the token
}

type boundKey struct{}

// unsendable is no header value: a transport that knows nothing of bound tokens
// refuses to send it, instead of sending the request without a token.
const unsendable = "\x00"

// outgoing returns the request for the upstream; the bound token is nil for a
// bearer token, which is in the header.
func (h *TokenExchange) outgoing(r *http.Request, who *caller, issued *exchange.Issued) (*http.Request, *bound) {
	prover := h.exchanger.Prover()
	if prover == nil {
		return h.withToken(r, who, issued.Credential), nil
	}
	carried := &bound{issued: issued, prover: prover}
	r = r.WithContext(context.WithValue(r.Context(), boundKey{}, carried))
	out := h.withToken(r, who, issued.Credential)
	keepHop(out.Header, dpopHeader)
	out.Header[h.header] = []string{unsendable}
	return out, carried
}

// missedBy tells whether a request failed because it met a transport that does not
// know bound tokens.
func (b *bound) missedBy(err error) bool {
	return err != nil && !b.taken.Load() && strings.Contains(err.Error(), "invalid header field value")
}

// nonceAsked tells whether an upstream answered a request with nothing but the wish for
// a nonce. The bound token may be that of an earlier token_exchange: the 401 is no word
// about the token of a later one either.
func nonceAsked(sent *http.Request) bool {
	carried, _ := sent.Context().Value(boundKey{}).(*bound)
	return carried != nil && carried.asked.Load()
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	carried, _ := r.Context().Value(boundKey{}).(*bound)
	if carried == nil {
		return t.send(r)
	}
	carried.taken.Store(true)
	t.SetScheme(r)
	out := r.WithContext(r.Context())
	out.Header = maps.Clone(r.Header)
	answer, err := t.prove(out, carried)
	if err != nil || !carried.asked.Load() || out.Body != nil && out.Body != http.NoBody {
		return answer, err // a body is gone once it was sent
	}
	_ = answer.Body.Close()
	return t.prove(out, carried) // once: an upstream that is never content is no reason to go on
}

// prove sends one attempt with a proof of its own, and notes whether the upstream
// wants the nonce that it has just offered (RFC 9449, section 9).
func (t *Transport) prove(out *http.Request, carried *bound) (*http.Response, error) {
	carried.asked.Store(false) // that was another attempt, perhaps at another upstream
	target := seenAs(out)
	proved, err := carried.prover.Prove(proof.Target{Method: out.Method, URL: target, Token: carried.issued.Token})
	if err != nil {
		return nil, fmt.Errorf("proving the upstream's token: %w", err)
	}
	out.Header["Authorization"] = []string{carried.issued.Credential.Reveal()}
	out.Header[dpopHeader] = []string{proved}
	answer, err := t.send(out)
	if err != nil {
		return nil, err
	}
	nonce := answer.Header.Get("DPoP-Nonce")
	carried.prover.Offered(target, nonce, true)
	// It is the gateway's: a caller would prove its own key with it, and the
	// gateway's nonce for the caller may stand beside it.
	delete(answer.Header, "Dpop-Nonce")
	// Also where the nonce is known already: another request, sent at the same time, was
	// told it first. Without one there is nothing to come again with.
	carried.asked.Store(nonce != "" && answer.StatusCode == http.StatusUnauthorized &&
		strings.Contains(strings.Join(answer.Header.Values("WWW-Authenticate"), " "), "use_dpop_nonce"))
	return answer, nil
}

// seenAs is the URL of a request as its upstream sees it.
func seenAs(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return r.URL.Scheme + "://" + host + r.URL.EscapedPath()
}

// Interface guards.
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ caddyfile.Unmarshaler                            = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
)
