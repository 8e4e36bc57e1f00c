package handlers

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

// TokenService is the gateway's own authorization server, for the services behind
// it: a token endpoint with client credentials and token exchange (RFC 8693),
// introspection (RFC 7662), revocation (RFC 7009), the public keys and the metadata
// by which clients find all of it (RFC 8414). It answers its own paths, compared
// with the request as it came, and passes everything else on untouched.
type TokenService struct {
	config.TokenService

	app       Services
	service   *sts.Service
	ring      *signing.Ring
	metadata  []byte
	endpoints map[string]endpoint // by path
}

// An endpoint answers the requests to one path.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// CaddyModule returns the Caddy module information.
func (TokenService) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_service",
		New: func() caddy.Module { return new(TokenService) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenService) Provision(ctx caddy.Context) (err error) {
	if h.app, err = prepare(ctx, &h.TokenService); err != nil {
		return err
	}
	h.ring = h.app.Ring()
	if h.service, err = h.app.TokenService(&h.TokenService); err != nil {
		return err
	}
	sign := h.app.Config().Sign
	if h.metadata, err = h.service.Metadata(h.Addresses(sign.Issuer), sign.SignAlgorithm()); err != nil {
		return fmt.Errorf("%s: %w", h.Label(), err)
	}
	return h.route(sign.Issuer)
}

// route lays out the paths of what is offered.
func (h *TokenService) route(issuer string) error {
	wellKnown, err := sts.MetadataPath(issuer)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Label(), err)
	}
	h.endpoints = make(map[string]endpoint)
	for name, serve := range map[string]endpoint{
		config.EndpointJWKS:       h.serveKeys,
		config.EndpointMetadata:   publicDocument{body: h.metadata, life: metadataLife, known: h.app.Known()}.serve,
		config.EndpointToken:      h.serveToken,
		config.EndpointIntrospect: h.serveIntrospection,
		config.EndpointRevoke:     h.serveRevocation,
		config.EndpointReady:      h.serveReady,
	} {
		path := h.PathPrefix() + "/" + name
		if name == config.EndpointMetadata {
			path = wellKnown
		}
		if h.Offers(name) {
			h.endpoints[path] = serve
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenService) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if serve, ok := h.endpoints[originalPath(r)]; ok {
		return serve(w, r)
	}
	return next.ServeHTTP(w, r)
}

// serveKeys publishes the keys that verify the gateway's own tokens (RFC 7517).
func (h *TokenService) serveKeys(w http.ResponseWriter, r *http.Request) error {
	body, etag := h.ring.Published()
	return publicDocument{body: body, etag: etag, life: h.ring.MaxAge(), known: h.app.Known()}.serve(w, r)
}

// serveReady tells balancers whether to send requests. Why not is told at the admin
// endpoint: here strangers ask, too.
func (h *TokenService) serveReady(w http.ResponseWriter, _ *http.Request) error {
	status := http.StatusOK
	if len(h.app.Unready()) > 0 {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return nil
}

func (h *TokenService) serveToken(w http.ResponseWriter, r *http.Request) error {
	return h.decide(w, r, config.EndpointToken, func(r *http.Request) (sts.Event, reply, *sts.Error) {
		grant, event, refused := h.service.Token(r)
		return event, func(w http.ResponseWriter) error { return writeGrant(w, grant) }, refused
	})
}

func (h *TokenService) serveIntrospection(w http.ResponseWriter, r *http.Request) error {
	return h.decide(w, r, config.EndpointIntrospect, func(r *http.Request) (sts.Event, reply, *sts.Error) {
		found, event, refused := h.service.Introspect(r)
		return event, func(w http.ResponseWriter) error { return writeIntrospection(w, found) }, refused
	})
}

func (h *TokenService) serveRevocation(w http.ResponseWriter, r *http.Request) error {
	return h.decide(w, r, config.EndpointRevoke, func(r *http.Request) (sts.Event, reply, *sts.Error) {
		event, refused := h.service.Revoke(r)
		return event, writeRevoked, refused
	})
}

// A reply writes the answer to a request that was granted.
type reply func(w http.ResponseWriter) error

var errEarly = errors.New("the request came in TLS early data and may be a replay")

// decide asks the service, records what it decided and writes the answer. It never
// becomes an error of Caddy's: OAuth clients read the body, and error routes are for
// people.
func (h *TokenService) decide(
	w http.ResponseWriter, r *http.Request, endpoint string, ask func(*http.Request) (sts.Event, reply, *sts.Error),
) error {
	var event sts.Event
	var good reply
	var refused *sts.Error
	ctx, step := begin(r.Context(), "token_service")
	if isEarly(r) {
		refused = sts.Refuse(sts.OutcomeEarly, errEarly)
	} else {
		asked := r.WithContext(ctx)
		hasten(w, asked)
		event, good, refused = ask(asked)
	}
	outcome := sts.OutcomeOK
	if refused != nil {
		outcome = refused.Outcome
		step.end(refused, attribute.String("gatehouse.outcome", string(outcome)))
	} else {
		step.end(nil, attribute.String("gatehouse.outcome", string(outcome)))
	}
	h.app.Metrics().Served(endpoint, string(outcome))
	h.record(r, endpoint, event, refused)
	if refused != nil {
		return writeRefusal(w, refused)
	}
	return good(w)
}

// record writes the audit line of a request.
func (h *TokenService) record(r *http.Request, endpoint string, event sts.Event, refused *sts.Error) {
	outcome := audit.Granted
	if refused != nil {
		outcome = audit.Denied
	}
	if !h.app.Trail().Wants(r.Context(), outcome) {
		return
	}
	line := requestEvent(r, new(caller), outcome)
	line.Directive, line.Place, line.Endpoint = "token_service", h.Place, endpoint
	line.Requester, line.Grant = event.Client, event.Grant
	line.SubjectIssuer, line.SubjectHash, line.Actor = event.SubjectIssuer, event.SubjectHash, event.Actor
	line.Exchanged, line.Scope, line.Granted = event.Subject, event.Asked, event.Granted
	line.IssuedID, line.KeyID = event.IssuedID, event.KeyID
	if event.Target != "" {
		line.Audience = []string{event.Target}
	}
	if refused != nil {
		line.Rule, line.Reason, line.Status = string(refused.Outcome), refused.Error(), refused.Status()
	}
	h.app.Trail().Record(r.Context(), line)
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenService)(nil)
	_ caddy.Provisioner           = (*TokenService)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenService)(nil)
)
