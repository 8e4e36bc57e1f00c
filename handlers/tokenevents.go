package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
)

// TokenEvents takes what others say of tokens: logout tokens of identity providers
// (OpenID Connect Back-Channel Logout 1.0) and Security Event Tokens that transmitters
// push (RFC 8935). It answers its own paths, compared with the request as it came, and
// passes everything else on untouched.
type TokenEvents struct {
	config.TokenEvents

	app       Services
	receiver  *signal.Receiver
	endpoints map[string]endpoint // by path
}

// CaddyModule returns the Caddy module information.
func (TokenEvents) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_events",
		New: func() caddy.Module { return new(TokenEvents) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenEvents) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenEvents); err != nil {
		return err
	}
	if h.receiver, err = h.app.Receiver(&h.TokenEvents); err != nil {
		return err
	}
	h.endpoints = make(map[string]endpoint)
	if len(h.BackchannelLogout) > 0 {
		h.endpoints[config.PathLogout] = h.serveLogout
	}
	if len(h.SharedSignals) > 0 {
		h.endpoints[config.PathSignals] = h.serveSignals
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenEvents) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if serve, ok := h.endpoints[originalPath(r)]; ok {
		return serve(w, r)
	}
	return next.ServeHTTP(w, r)
}

// serveLogout answers as OpenID Connect Back-Channel Logout 1.0, section 2.8, says.
func (h *TokenEvents) serveLogout(w http.ResponseWriter, r *http.Request) error {
	refused := h.take(w, r, "backchannel_logout", h.receiver.ReceiveLogout)
	if refused == nil {
		keepOut(w)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	signalHeader(w, refused)
	return writeJSON(w, refused.Status(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{refused.LogoutCode(), refused.Description()})
}

// serveSignals answers as RFC 8935, sections 2.2 and 2.3, says.
func (h *TokenEvents) serveSignals(w http.ResponseWriter, r *http.Request) error {
	refused := h.take(w, r, "shared_signals", h.receiver.ReceiveSET)
	if refused == nil {
		keepOut(w)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	signalHeader(w, refused)
	w.Header().Set("Content-Language", "en")
	return writeJSON(w, refused.Status(), struct {
		Error       string `json:"err"`
		Description string `json:"description"`
	}{refused.Code(), refused.Description()})
}

func signalHeader(w http.ResponseWriter, refused *signal.Refusal) {
	if refused.Outcome == signal.OutcomeMethod {
		w.Header().Set("Allow", http.MethodPost)
	}
	if wait := refused.RetryAfter(); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(wait/time.Second), 10))
	}
}

// take gives a request to the receiver and records what came of it.
func (h *TokenEvents) take(
	w http.ResponseWriter, r *http.Request, kind string, receive func(*http.Request) (signal.Receipt, *signal.Refusal),
) *signal.Refusal {
	var receipt signal.Receipt
	var refused *signal.Refusal
	ctx, step := begin(r.Context(), "token_events")
	if isEarly(r) {
		refused = signal.Refuse(signal.OutcomeEarly, errEarly)
	} else {
		asked := r.WithContext(ctx)
		hasten(w, asked)
		receipt, refused = receive(asked)
	}
	if refused != nil {
		receipt.Outcome = refused.Outcome
		step.end(refused, attribute.String("gatehouse.outcome", string(receipt.Outcome)))
	} else {
		step.end(nil, attribute.String("gatehouse.outcome", string(receipt.Outcome)))
	}
	h.app.Metrics().Signalled(kind, string(receipt.Outcome))
	h.record(r, kind, receipt, refused)
	if refused == nil && receipt.Verification {
		h.verified(r.Context(), receipt)
	}
	return refused
}

// record writes the audit line of a signal.
func (h *TokenEvents) record(r *http.Request, kind string, receipt signal.Receipt, refused *signal.Refusal) {
	line := audit.Signal{
		Endpoint: kind, Place: h.Place, RemoteIP: clientIP(r), RequestID: requestID(r),
		Issuer: receipt.Issuer, ID: receipt.ID, Outcome: string(receipt.Outcome),
	}
	if receipt.Issuer != "" {
		line.Events = receipt.Events
	}
	for _, event := range receipt.Revoked {
		line.Revoked = append(line.Revoked, string(event.Kind)+" "+event.Value)
		line.Revocations = append(line.Revocations, event.ID)
	}
	if refused != nil {
		line.Err, line.Status = refused, refused.Status()
	}
	h.app.Trail().Signalled(r.Context(), line)
}

// maxState bounds what the log repeats of a transmitter.
const maxState = 256

// verified logs that a transmitter checks its stream (OpenID Shared Signals Framework
// 1.0, section 8.1.4): its operator asks for this state to be seen here.
func (h *TokenEvents) verified(ctx context.Context, receipt signal.Receipt) {
	state := receipt.State
	if len(state) > maxState {
		state = strings.ToValidUTF8(state[:maxState], "")
	}
	h.app.Log().InfoContext(ctx, "a stream of signals was verified", "transmitter", receipt.Issuer, "state", state, "place", h.Place)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenEvents)(nil)
	_ caddy.Provisioner           = (*TokenEvents)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenEvents)(nil)
)
