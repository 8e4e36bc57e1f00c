package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// TokenResource publishes what clients need to know of an API before they have a
// token for it (RFC 9728): it answers the one path of the metadata, to anybody,
// and passes everything else on.
type TokenResource struct {
	config.TokenResource

	path     string
	document publicDocument
}

// CaddyModule returns the Caddy module information.
func (TokenResource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_resource",
		New: func() caddy.Module { return new(TokenResource) },
	}
}

// Provision implements caddy.Provisioner.
func (h *TokenResource) Provision(ctx caddy.Context) error {
	app, err := prepare(ctx, &h.TokenResource)
	if err != nil {
		return err
	}
	h.path = h.MetadataPath()
	body, err := json.Marshal(resourceMetadata{
		Resource:             h.Resource,
		AuthorizationServers: h.Servers(app.Config()),
		Scopes:               h.Scopes,
		BearerMethods:        []string{"header"},
		Name:                 h.Name,
		Documentation:        h.Documentation,
	})
	if err != nil {
		return fmt.Errorf("%s: writing the metadata: %w", h.Label(), err)
	}
	h.document = publicDocument{body: body, life: metadataLife, known: app.Known()}
	app.Known().addResource(h)
	return nil
}

// resourceMetadata is the document of RFC 9728, section 2.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`
}

// metadataLife is how long clients may keep the document: long enough to spare
// the gateway, short enough that a new authorization server is found soon.
const metadataLife = 5 * time.Minute

// ServeHTTP implements caddyhttp.MiddlewareHandler. The path is that of the
// request as it came: rewrite, uri and try_files run before this directive. The
// host is not compared: the site has chosen it already, and a proxy in front may
// have changed it.
func (h *TokenResource) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if originalPath(r) != h.path {
		return next.ServeHTTP(w, r)
	}
	return h.document.serve(w, r)
}

// originalPath is the path of the request as it came, decoded.
func originalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL.Path
	}
	return r.URL.Path
}

// Interface guards.
var (
	_ caddy.Module                = (*TokenResource)(nil)
	_ caddy.Provisioner           = (*TokenResource)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenResource)(nil)
)
