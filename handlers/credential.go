package handlers

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// sourcesOf are the places that a token_auth names.
func sourcesOf(directive *config.TokenAuth) token.Sources {
	kinds := map[string]token.SourceKind{
		config.FromHeader: token.FromHeader, config.FromCookie: token.FromCookie, config.FromQuery: token.FromQuery,
	}
	sources := make(token.Sources, 0, len(directive.From))
	for _, from := range directive.From {
		source := token.Source{Kind: kinds[from.Source], Name: from.Name, Scheme: from.HeaderScheme(), OrDPoP: from.AcceptsDPoP()}
		if header := from.Header(); header != "" {
			source.Name = header
		}
		sources = append(sources, source)
	}
	return sources
}

// places are where a request may carry a credential.
type places struct {
	sources token.Sources
	inQuery bool     // one of them is a parameter
	headers []string // the headers that may carry a credential or a certificate
}

func placesOf(sources token.Sources) places {
	return places{
		sources: sources,
		inQuery: slices.ContainsFunc(sources, func(s token.Source) bool { return s.Kind == token.FromQuery }),
		headers: credentialHeaders(sources),
	}
}

// take removes the credential from the request, and from the picture of the
// request as it came, which Caddy keeps for error routes and placeholders.
func (p *places) take(r *http.Request, found *token.Credential) error {
	err := p.sources.Take(r, found)
	guardTrailers(r, p.headers)
	if p.inQuery {
		p.forgetQuery(r)
	}
	return err
}

// forgetQuery takes the parameter out of Caddy's original request. Its URL is
// shared by every copy; its request line is not, so the context gets another
// picture. A handler in front may have passed on a copy of the request (tracing
// does), whose own context then stays as it was: for its placeholders the replacer
// is told. It is looked at even if the request itself has no such parameter any more:
// a rewrite in front may have dropped the query, and error routes get it back.
func (p *places) forgetQuery(r *http.Request) {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return
	}
	query, uri := original.URL.RawQuery, original.RequestURI
	for _, source := range p.sources {
		query, uri = source.Removed(query), source.RemoveFromURI(uri)
	}
	if query == original.URL.RawQuery && uri == original.RequestURI {
		return
	}
	original.URL.RawQuery, original.RequestURI = query, uri
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.request.orig_uri", original.RequestURI)
	}
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
}

// A kept credential is what forward_token puts back for the handlers behind.
type kept struct {
	header     http.Header
	query, uri string
}

// keep remembers where the credential lies, before it is taken.
func keep(r *http.Request) *kept {
	return &kept{header: maps.Clone(r.Header), query: r.URL.RawQuery, uri: r.RequestURI}
}

// forward returns the request with the caller's token, as it was, for the handlers behind.
// The header is that of a copy, and the query is taken back from Caddy's original
// request before an error route runs: so neither error routes nor placeholders of
// headers see the token.
func (k *kept) forward(r *http.Request, kind token.SourceKind) *http.Request {
	if kind == token.FromQuery {
		r.URL.RawQuery, r.RequestURI = k.query, k.uri
		return r
	}
	forwarded := r.WithContext(r.Context())
	forwarded.Header = k.header
	return forwarded
}

// withhold returns the request without the caller's token, which forward_token left
// there: what gets a token of its own never gets the caller's as well. What an
// earlier token_exchange has put there stays.
func (c *caller) withhold(r *http.Request) *http.Request {
	if len(c.filled) > 0 {
		return r
	}
	stripped := r.WithContext(r.Context())
	stripped.Header = maps.Clone(r.Header)
	_ = c.auth.places.take(stripped, new(token.Credential))
	return stripped
}
