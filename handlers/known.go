package handlers

import (
	"net/http"
	"slices"
)

// Known is what the directives of one configuration tell each other while they are
// provisioned, for what none of them sees alone. The zero value is ready to use; once
// requests come it is read only.
type Known struct {
	everywhere places // where any token_auth may find a credential
}

func (k *Known) addAuth(h *TokenAuth) {
	sources := k.everywhere.sources
	for _, source := range h.places.sources {
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	k.everywhere = placesOf(sources)
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
	_, _ = everywhere.take(r)
}
