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

// service looks at a token_service with those that every request has passed before
// it, and at the server that it stands on.
func (w *walk) service(service *TokenService, passed []crossing) {
	for _, before := range passed {
		if !before.isService() || before.service == service {
			continue
		}
		if path := before.service.answersOf(service); path != "" {
			w.failures = append(w.failures, fmt.Errorf("%s: %s answers %s before it: "+
				"give one of them another prefix or other endpoints, or put each into a handle of its own",
				service.Label(), before.service.Label(), path))
		}
	}
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

// answersOf is the first path of another service that this one answers, "" if there is
// none.
func (h *TokenService) answersOf(other *TokenService) string {
	for _, path := range slices.Sorted(maps.Keys(h.endpoints)) {
		if _, both := other.endpoints[path]; both {
			return path
		}
	}
	return ""
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

// trustsNobody tells whether a server is known to have no trusted proxies. Caddy drops
// what was written once it has made the source, and shows the source to nobody, so
// its field is looked for by name. Should it be called otherwise one day, nobody
// knows, and nothing is said.
func trustsNobody(server *caddyhttp.Server) bool {
	source := reflect.ValueOf(server).Elem().FieldByName("trustedProxies")
	return source.Kind() == reflect.Interface && source.IsNil() && !server.TrustedProxiesUnix
}
