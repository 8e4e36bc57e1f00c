package handlers

import (
	"io"
	"net/http"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// guardTrailers keeps headers that carry credentials out of the request's
// trailers. reverse_proxy passes trailers on, and an upstream that merges them
// into the headers would take the caller's for the gateway's. No trailer may
// authenticate anybody (RFC 9110, section 6.5.1).
//
// The body is replaced, in this request alone. Requests without announced
// trailers cost nothing: Caddy's copies of a request never learn of others.
func guardTrailers(r *http.Request, headers []string) {
	if len(r.Trailer) > 0 && r.Body != nil {
		replaceBody(r, headers)
	}
}

func replaceBody(r *http.Request, headers []string) {
	guard := &trailerGuard{ReadCloser: r.Body, trailers: r.Trailer, headers: headers}
	guard.drop()
	r.Body = guard
}

// A trailerGuard is a body that drops trailers at its end. On HTTP/1 only then it
// is known which there are: names that were not announced come too.
type trailerGuard struct {
	io.ReadCloser

	trailers http.Header
	headers  []string
}

// Read implements io.Reader.
func (g *trailerGuard) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err != nil {
		g.drop()
	}
	return n, err
}

// drop removes the headers under every spelling that an upstream may fold into
// one of them.
func (g *trailerGuard) drop() {
	for name := range g.trailers {
		if slices.ContainsFunc(g.headers, func(header string) bool { return token.SameHeader(name, header) }) {
			delete(g.trailers, name)
		}
	}
}

// credentialHeaders are the headers in which a token_auth looks for a credential,
// and those in which callers present themselves in any case: where one does not
// belong, no header has it either.
func credentialHeaders(sources token.Sources) []string {
	headers := slices.Clone(callersHeaders)
	for _, source := range sources {
		switch source.Kind {
		case token.FromHeader:
			headers = append(headers, source.Name)
		case token.FromCookie:
			headers = append(headers, "Cookie")
		case token.FromQuery:
		}
	}
	return headers
}
