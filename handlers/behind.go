package handlers

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
)

// CheckRoutes looks, once every route is provisioned, at what only the routes and
// servers together show; see sites.go for token_service, token_events and token_auth, and
// known.go for what directives are told of each other.
//
// It looks at what stands behind each token_exchange that binds its tokens. If there
// are upstreams, and none of them could be given such a token, every request would
// fail: by DPoP that is an error; by certificate a warning, since something between
// may show another one.
//
// Which matchers exclude each other nobody knows, so that one upstream that fits is
// enough here. What reaches another one is refused when it comes.
func CheckRoutes(app *caddyhttp.App, services Services) error {
	var failures []error
	for _, server := range app.Servers {
		w := &walk{server: server, services: services}
		w.routes(server.Routes, nil)
		failures = append(failures, w.failures...)
		for _, found := range w.bound {
			failures = append(failures, found.judge(services.Log()))
		}
	}
	services.Known().warn(services.Log())
	return errors.Join(failures...)
}

// A boundExchange is a token_exchange that binds, and what was found behind it.
type boundExchange struct {
	*TokenExchange

	upstreams, fit int
	foreign        bool // an upstream that takes no HTTP
}

func (b *boundExchange) judge(log *slog.Logger) error {
	switch dpop := b.block.BindKind() == config.BindDPoP; {
	case dpop && b.foreign:
		// It would be sent all but the token: what stands in the token's place is
		// refused by HTTP, and by nothing else.
		return fmt.Errorf("%s: bind dpop, and a reverse_proxy behind it whose transport is not HTTP: put it into a handle of its own",
			placeOf("token_exchange", b.Place))
	case b.upstreams == 0 || b.fit > 0:
		return nil
	case dpop:
		return fmt.Errorf("%s: bind dpop, and no reverse_proxy behind it has transport gatehouse: write it there",
			placeOf("token_exchange", b.Place))
	}
	log.Warn("no reverse_proxy behind a token_exchange with bind mtls shows its certificate: write tls_client_auth there",
		"exchange", b.label, "place", b.Place)
	return nil
}

// A walk goes along the routes of one server in the order of requests.
type walk struct {
	server   *caddyhttp.Server
	services Services
	bound    []*boundExchange
	named    []string // the named routes that it is in
	failures []error
}

// A crossing is a handler that a request came through: one of the two.
type crossing struct {
	bound    *boundExchange
	answerer answerer
}

func (p crossing) answers() bool { return p.answerer != nil }

// routes walks a list with the handlers that a request has passed, and returns them
// with those that it passes here. An exchange counts where it may have been passed, what
// answers paths only where it must have been.
func (w *walk) routes(list caddyhttp.RouteList, passed []crossing) []crossing {
	inGroup := make(map[string][]crossing)
	for _, route := range list {
		before := passed
		if others := inGroup[route.Group]; route.Group != "" {
			// A request takes one route of a group.
			before = slices.DeleteFunc(slices.Clone(passed), func(p crossing) bool { return slices.Contains(others, p) })
		}
		added := w.handlers(route.Handlers, slices.Clip(before))[len(before):]
		if route.Terminal {
			continue // nothing comes behind it
		}
		if len(route.MatcherSets) > 0 {
			added = slices.DeleteFunc(added, crossing.answers)
		}
		inGroup[route.Group] = append(inGroup[route.Group], added...)
		passed = slices.Concat(passed, added)
	}
	return passed
}

func (w *walk) handlers(list []caddyhttp.MiddlewareHandler, passed []crossing) []crossing {
	for _, handler := range list {
		switch handler := handler.(type) {
		case *TokenExchange:
			if handler.block.BindKind() != "" {
				found := &boundExchange{TokenExchange: handler}
				w.bound, passed = append(w.bound, found), append(passed, crossing{bound: found})
			}
		case *TokenService:
			w.service(handler)
			passed = w.answerer(handler, passed)
		case *TokenEvents:
			passed = w.answerer(handler, passed)
		case *TokenAuth:
			w.certificateHeader(handler)
			w.clientCertificates(handler)
		case *reverseproxy.Handler:
			w.upstream(handler, passed)
		case *caddyhttp.Subroute:
			passed = w.routes(handler.Routes, passed)
		case *caddyhttp.Invoke:
			passed = w.invoke(handler.Name, passed)
		}
	}
	return passed
}

// upstream notes for each exchange whether its tokens could be used there.
func (w *walk) upstream(proxy *reverseproxy.Handler, passed []crossing) {
	for _, exchange := range passed {
		if exchange.answers() {
			continue
		}
		exchange.bound.upstreams++
		if w.fits(exchange.bound, proxy) {
			exchange.bound.fit++
		}
	}
}

func (w *walk) invoke(name string, passed []crossing) []crossing {
	route := w.server.NamedRoutes[name]
	if route == nil || slices.Contains(w.named, name) {
		return passed
	}
	w.named = append(w.named, name)
	defer func() { w.named = w.named[:len(w.named)-1] }()
	return w.handlers(route.Handlers, passed)
}

// fits tells whether a token of the exchange could be used at the upstream.
func (w *walk) fits(exchange *boundExchange, proxy *reverseproxy.Handler) bool {
	ours, isOurs := proxy.Transport.(*Transport)
	transport, isHTTP := proxy.Transport.(*reverseproxy.HTTPTransport)
	if exchange.block.BindKind() == config.BindDPoP {
		exchange.foreign = exchange.foreign || !isOurs && !isHTTP
		return isOurs
	}
	if isOurs {
		transport = &ours.HTTPTransport
	} else if !isHTTP {
		return true // who knows
	}
	if transport.TLS == nil || transport.TLS.ClientCertificateFile == "" {
		return transport.TLS != nil && transport.TLS.ClientCertificateAutomate != ""
	}
	shown, err := w.services.Certificate(authserver.CertificateFiles{
		Certificate: transport.TLS.ClientCertificateFile, Key: transport.TLS.ClientCertificateKeyFile,
	})
	return err == nil && shown.Thumbprint() == exchange.exchanger.Certificate().Thumbprint()
}
