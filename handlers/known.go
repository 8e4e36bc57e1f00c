package handlers

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Known is what the directives of one configuration tell each other while they are
// provisioned, for what none of them sees alone. The zero value is ready to use; once
// requests come it is read only.
type Known struct {
	everywhere places          // where any token_auth may find a credential
	described  []*TokenAuth    // those that send their clients to metadata
	served     map[string]bool // the addresses of the metadata of every token_resource
	anonymous  bool            // some token_exchange serves callers whom no token_auth saw
}

func (k *Known) addAuth(h *TokenAuth) {
	sources := k.everywhere.sources
	for _, source := range h.places.sources {
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	k.everywhere = placesOf(sources)
	if h.Resource != "" {
		k.described = append(k.described, h)
	}
}

func (k *Known) addResource(h *TokenResource) {
	if k.served == nil {
		k.served = make(map[string]bool)
	}
	k.served[config.ResourceMetadataURL(h.Resource)] = true
}

// leave takes what its caller presents off a request that no token_auth saw: an error
// route has an upstream of its own, and so may a route without token_auth. Which
// token_auth would have looked at it nobody knows, so it is taken from wherever any of
// them looks. k is nil where there is no app; then those are the usual places.
func (k *Known) leave(r *http.Request) {
	for _, own := range callersHeaders {
		takeHeader(r.Header, own)
	}
	everywhere := placesOf(nil)
	if k != nil && len(k.everywhere.headers) > 0 {
		everywhere = k.everywhere
	}
	_ = everywhere.take(r, new(token.Credential))
}

// warn tells of challenges that send clients to metadata which nothing here answers.
// Another server may, so that it is no error.
func (k *Known) warn(log *slog.Logger) {
	for _, auth := range k.described {
		if metadata := config.ResourceMetadataURL(auth.Resource); !k.served[metadata] {
			log.Warn("no token_resource answers with the metadata that resource sends clients to: "+
				"write token_resource with this URL, unless another server answers there",
				"place", auth.Place, "resource", auth.Resource, "metadata", metadata)
		}
	}
}
