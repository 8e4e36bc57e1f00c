package authserver

import (
	"errors"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// IsUnreachable tells whether an error of KeySet or Metadata says that nobody answered,
// or not with a document.
func IsUnreachable(err error) bool {
	_, status := errors.AsType[noDocument](err)
	return status || errors.Is(err, httpx.ErrUnreachable) || errors.Is(err, ErrUnreachable)
}

// IsBadAnswer tells whether an error of KeySet or Metadata says that the server
// answered with something else than it should have.
func IsBadAnswer(err error) bool {
	return errors.Is(err, httpx.ErrTooLarge) || errors.Is(err, ErrMetadata) || errors.Is(err, ErrNoEndpoint) ||
		errors.Is(err, ErrBadAnswer) || errors.Is(err, jose.ErrKeySet)
}

// noDocument marks an error of a server that answered a GET with another status than
// 200. It adds nothing to its text.
type noDocument struct{ error } //nolint:errname // a mark, as unsent is

// Unwrap returns what went wrong.
func (n noDocument) Unwrap() error { return n.error }

// A Place is one place where an issuer runs.
type Place struct {
	// URL is the issuer's own, or that of a fallback.
	URL string
	// Down tells that it failed when it was asked last. Where there is one place alone
	// nobody notes that.
	Down bool
}

// Places tells how the issuer's places are doing, its own first. It asks nobody.
func (s *Server) Places() []Place {
	places := make([]Place, len(s.replicas))
	for i, replica := range s.replicas {
		places[i] = Place{URL: replica.base, Down: replica.isDown()}
	}
	return places
}
