package handlers

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// An answerer is a handler that answers paths of its own.
type answerer interface {
	// Label names it and its place.
	Label() string
	// paths are those that it answers, sorted.
	paths() []string
	// mend says what to do where another one answers them.
	mend() string
}

// answerer looks at a handler with those that every request has passed before it, and
// returns those that it has passed behind it.
func (w *walk) answerer(found answerer, passed []crossing) []crossing {
	for _, before := range passed {
		if !before.answers() || before.answerer == found {
			continue
		}
		if path := firstOfBoth(before.answerer.paths(), found.paths()); path != "" {
			w.failures = append(w.failures, fmt.Errorf("%s: %s answers %s before it: %s, or put each into a handle of its own",
				found.Label(), before.answerer.Label(), path, found.mend()))
		}
	}
	return append(passed, crossing{answerer: found})
}

// firstOfBoth is the first path in both lists, "" if there is none.
func firstOfBoth(some, others []string) string {
	for _, path := range some {
		if slices.Contains(others, path) {
			return path
		}
	}
	return ""
}

func (h *TokenService) paths() []string { return slices.Sorted(maps.Keys(h.endpoints)) }

func (h *TokenService) mend() string { return "give one of them another prefix or other endpoints" }

func (h *TokenEvents) paths() []string { return slices.Sorted(maps.Keys(h.endpoints)) }

func (h *TokenEvents) mend() string { return "write the lines of both into one block" }

// service looks at the server that a token_service stands on.
func (w *walk) service(service *TokenService) {
	if slices.ContainsFunc(w.server.TLSConnPolicies, verifiesClients) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(service.Clients)) {
		if service.Clients[id].Auth.Method == config.AuthTLS {
			w.failures = append(w.failures, fmt.Errorf("%s: auth tls, and this site verifies no client certificates: "+
				"write tls { client_auth { … } } with a trust_pool in the site, or another auth",
				service.ClientLabel(id)))
		}
	}
}

// verifiesClients tells whether connections under a policy may have a certificate whose
// chain was verified. One that is merely asked for proves nothing.
func verifiesClients(policy *caddytls.ConnectionPolicy) bool {
	asked := policy.ClientAuthentication
	switch {
	case asked == nil || asked.Mode == "request" || asked.Mode == "require":
		return false
	default:
		return asked.Active()
	}
}

// certificateHeader warns of a header that is believed from proxies, where none is
// trusted: every token that is bound to a certificate would be refused.
func (w *walk) certificateHeader(auth *TokenAuth) {
	if auth.ClientCertificate != "" && trustsNobody(w.server) {
		w.services.Log().Warn("client_certificate is believed from trusted proxies alone, and the server has none: write trusted_proxies",
			"place", auth.Place, "header", auth.ClientCertificate)
	}
}

// clientCertificates warns of tokens that must be bound to a certificate where nobody is
// asked for one: every one of them would be refused.
func (w *walk) clientCertificates(auth *TokenAuth) {
	asks := func(policy *caddytls.ConnectionPolicy) bool {
		return policy.ClientAuthentication != nil && policy.ClientAuthentication.Active()
	}
	wanted := auth.SenderConstrained
	if len(wanted) != 1 || wanted[0] != config.BoundMTLS || auth.ClientCertificate != "" || slices.ContainsFunc(w.server.TLSConnPolicies, asks) {
		return
	}
	w.services.Log().Warn("sender_constrained mtls, and this site asks for no client certificates: "+
		"write tls { client_auth { mode request } } in the site, or client_certificate", "place", auth.Place)
}

// trustsNobody tells whether a server is known to have no trusted proxies. Caddy drops
// what was written once it has made the source, and shows the source to nobody, so
// its field is looked for by name. Should it be called otherwise one day, nobody
// knows, and nothing is said.
func trustsNobody(server *caddyhttp.Server) bool {
	source := reflect.ValueOf(server).Elem().FieldByName("trustedProxies")
	return source.Kind() == reflect.Interface && source.IsNil() && !server.TrustedProxiesUnix
}
