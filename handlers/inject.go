package handlers

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// withToken returns a copy of the request that carries the upstream's token. The
// request itself stays without it: Caddy's error routes and placeholders read
// that one, and a token made for one upstream must not reach another.
//
// The caller's own credential is dropped as well, wherever it may still be: where
// token_auth was told to leave it, or where none ran. filled are the headers of
// earlier exchanges, which stay.
func (h *TokenExchange) withToken(r *http.Request, who *caller, credential token.Raw) *http.Request {
	clone := r.WithContext(r.Context())
	// The values stay shared, as they are between all handlers of Caddy; only
	// which headers there are differs.
	clone.Header = maps.Clone(r.Header)
	if h.aliased { // else the server has made one spelling of all
		dropAliases(clone.Header, h.header)
	}
	for _, own := range h.own {
		if _, there := clone.Header[own]; there && who.filledBy(own) == nil {
			delete(clone.Header, own)
		}
	}
	keepHop(clone.Header, h.header)
	guardTrailers(clone, h.headers)
	clone.Header[h.header] = who.fieldOf(credential)
	return clone
}

// fieldOf is the upstream's header. The first one lies in the caller's own memory.
func (c *caller) fieldOf(credential token.Raw) []string {
	if c.value[0] != "" {
		return []string{credential.Reveal()}
	}
	c.value[0] = credential.Reveal()
	return c.value[:]
}

// callersHeaders are where callers present themselves (RFC 6750, section 2.1;
// RFC 9449, section 4.1; the transaction tokens draft).
var callersHeaders = []string{"Authorization", "Dpop", "Txn-Token"}

// dropAliases removes every copy of a header that the caller sent, under any
// spelling that an upstream may fold into the same name: CGI and its heirs make
// no difference between X-Token, X_Token and X.Token.
func dropAliases(headers http.Header, header string) {
	for name := range headers {
		if token.SameHeader(name, header) {
			delete(headers, name)
		}
	}
}

// keepHop takes the header's name out of Connection: a proxy removes what is
// named there, so a caller could otherwise take the upstream's token away
// (RFC 9110, section 7.6.1).
func keepHop(headers http.Header, header string) {
	values := headers["Connection"]
	if len(values) == 0 {
		return
	}
	var kept []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" && !token.SameHeader(name, header) {
				kept = append(kept, name)
			}
		}
	}
	if len(kept) == 0 {
		delete(headers, "Connection")
		return
	}
	headers["Connection"] = []string{strings.Join(slices.Clip(kept), ", ")}
}
