// Package audit writes the trail of decisions: who asked for what, what was
// decided, by which rule and why. A token is in it as its fingerprint only, and
// nothing is in it that nobody verified.
package audit

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Outcome is what was decided.
type Outcome string

// The outcomes. Grants are written at DEBUG, the others at INFO.
const (
	Denied  Outcome = "denied"
	Granted Outcome = "granted"
	// Shadowed is a denial by a rule that is only tried out: the request passed.
	Shadowed Outcome = "shadowed"
)

// An Event is one decision about one request. Empty fields are left out.
type Event struct {
	Outcome Outcome
	// Directive decided: token_auth, token_require, token_exchange or token_service.
	Directive string
	// Place is where the directive is written, file:line.
	Place string
	// Method, Host and Path are what was asked; Path without its query.
	Method, Host, Path string
	// RequestID is Caddy's id of the request, which the answer shows as well.
	RequestID string
	// RemoteIP is the client's address as Caddy sees it.
	RemoteIP string
	// Token is the verified token, nil before it was verified.
	Token *token.Token
	// Fingerprint names the presented credential even if it was not verified.
	Fingerprint string
	// Rule is the rule that decided, as the operator wrote it; of a grant all rules
	// that hold.
	Rule string
	// Reason says why.
	Reason string
	// Status is the answer's status, 0 if the request passed.
	Status int
	// Exchange, Audience and Scope say what was asked for an upstream.
	Exchange        string
	Audience, Scope []string
	// Server is the host of the authorization server, ServerClient the client_id
	// that the gateway has there. Where several are asked in turn, they are those of
	// the one that decided, and Leg says which that was, counted from one.
	Server, ServerClient string
	Leg                  int
	// Duration is how long the caller waited for the exchange.
	Duration time.Duration
	// ActDepth is how many parties act for the user, the gateway included where it
	// names itself (RFC 8693, section 4.1).
	ActDepth int
	// ServerError is the authorization server's error code, ServerStatus the status
	// of its answer, 0 if it was not asked or did not answer.
	ServerError  string
	ServerStatus int
	// Granted is the scope of the token that the upstream gets, IssuedID its jti as
	// far as it can be read.
	Granted  []string
	IssuedID string
	// Endpoint is the one of token_service that was asked, Requester the client that
	// proved itself to it, and Grant what it wanted.
	Endpoint, Requester, Grant string
	// SubjectIssuer and SubjectHash say for whom token_service made a token, and
	// Actor who acts with it.
	SubjectIssuer, SubjectHash, Actor string
	// Exchanged is the token that it was made of, of which the line has the jti, the txn
	// and the actors alone; nil if there was none.
	Exchanged *token.Token
	// KeyID is the key that signed the token.
	KeyID string
}

// A Trail writes events. The zero value writes nothing.
type Trail struct {
	log    *slog.Logger
	grants bool
}

// NewTrail makes a trail that writes to the logger. Whether it takes grants, which each
// request would ask it, is asked here once.
func NewTrail(log *slog.Logger) *Trail {
	return &Trail{log: log, grants: log != nil && log.Enabled(context.Background(), level(Granted))}
}

// Grants tells whether requests that pass are written.
func (t *Trail) Grants() bool { return t != nil && t.grants }

// Wants tells whether an event with that outcome would be written.
func (t *Trail) Wants(ctx context.Context, outcome Outcome) bool {
	return t != nil && t.log != nil && t.log.Enabled(ctx, level(outcome))
}

// Record writes an event.
func (t *Trail) Record(ctx context.Context, event Event) {
	if !t.Wants(ctx, event.Outcome) {
		return
	}
	// One message each, so that a trail can be searched for it.
	switch event.Outcome {
	case Granted:
		t.log.LogAttrs(ctx, slog.LevelDebug, "granted", event.attributes()...)
	case Shadowed:
		t.log.LogAttrs(ctx, slog.LevelInfo, "shadowed", event.attributes()...)
	default:
		t.log.LogAttrs(ctx, slog.LevelInfo, "denied", event.attributes()...)
	}
}

func level(outcome Outcome) slog.Level {
	if outcome == Granted {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (e Event) attributes() []slog.Attr {
	reason, _, _ := strings.Cut(e.Reason, "\n") // the rest is where a fault lies, which the operators' log tells
	attributes := texts(
		"directive", e.Directive, "place", e.Place,
		"method", e.Method, "host", e.Host, "path", e.Path, "remote_ip", e.RemoteIP,
		"request_id", e.RequestID,
		"rule", e.Rule, "reason", reason,
		"exchange", e.Exchange, "target_audience", strings.Join(e.Audience, " "),
		"server", e.Server, "server_client", e.ServerClient,
		"asked_scope", strings.Join(e.Scope, " "), "server_error", e.ServerError,
		"granted_scope", strings.Join(e.Granted, " "), "issued_jti", e.IssuedID,
		"token", e.Fingerprint,
		"endpoint", e.Endpoint, "requester", e.Requester, "grant", e.Grant,
		"subject_issuer", e.SubjectIssuer, "subject_hash", e.SubjectHash, "actor", e.Actor, "issued_kid", e.KeyID,
	)
	for _, number := range []slog.Attr{
		slog.Int("status", e.Status), slog.Int("server_status", e.ServerStatus),
		slog.Int("leg", e.Leg), slog.Int("act_depth", e.ActDepth),
	} {
		if number.Value.Int64() != 0 {
			attributes = append(attributes, number)
		}
	}
	if e.Duration > 0 {
		// In seconds, as in Caddy's access log.
		attributes = append(attributes, slog.Float64("duration", e.Duration.Seconds()))
	}
	if e.Exchanged != nil {
		attributes = append(attributes, texts(
			"earlier_actors", before(e.Actor, e.Exchanged), "jti", e.Exchanged.ID, "txn", transaction(e.Exchanged))...)
	}
	if e.Token == nil {
		return attributes
	}
	return append(attributes, texts(
		"subject", e.Token.Subject, "client", e.Token.Client, "issuer", e.Token.Issuer,
		"actor", e.Token.Actor, "earlier_actors", earlierActors(e.Token), "jti", e.Token.ID,
		"txn", transaction(e.Token),
		"audience", strings.Join(e.Token.Audience, " "), "scope", strings.Join(e.Token.Scopes, " "),
	)...)
}

// texts makes attributes of names and values in turn and leaves out empty ones.
func texts(pairs ...string) []slog.Attr {
	attributes := make([]slog.Attr, 0, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attributes = append(attributes, slog.String(pairs[i], pairs[i+1]))
		}
	}
	return attributes
}
