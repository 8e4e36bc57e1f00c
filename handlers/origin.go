package handlers

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// admits holds a request to the rules of the place in which its credential came,
// and of TLS early data. Errors wrap a token.Reason.
func admits(r *http.Request, found *token.Credential) error {
	switch {
	case !isSafe(r.Method) && isEarly(r):
		return token.EarlyData
	case !found.Presented:
		return nil
	case found.Kind == token.FromCookie && (!isSafe(r.Method) || isUpgrade(r)) && !fromOwnSite(r):
		return token.CrossSite
	case found.Kind == token.FromQuery && !isStream(r):
		return fmt.Errorf("%w: a token in the query belongs to WebSocket handshakes and event streams only", token.Malformed)
	}
	return nil
}

// isEarly tells whether the request came before the handshake was over, here or
// at a proxy in front (RFC 8470, section 5.1: several or invalid Early-Data
// headers are as good as 1). Such a request may be a replay.
func isEarly(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete || len(r.Header["Early-Data"]) > 0
}

// isSafe tells whether a method changes nothing (RFC 9110, section 9.2.1).
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}

// isUpgrade tells whether the request asks for another protocol.
func isUpgrade(r *http.Request) bool { return len(r.Header["Upgrade"]) > 0 }

// fromOwnSite tells whether a browser vouches that a page of this very site sent
// the request. A browser sends its cookies along with other sites' requests too,
// and neither header can be set by a page.
func fromOwnSite(r *http.Request) bool {
	if sites := r.Header["Sec-Fetch-Site"]; len(sites) == 1 && sites[0] == "same-origin" {
		return true
	}
	origins := r.Header["Origin"]
	return len(origins) == 1 && sameOrigin(origins[0], ownOrigin(r))
}

// ownOrigin is scheme and host as the client sees them. A proxy in front is
// believed only if Caddy trusts it.
func ownOrigin(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if fromTrustedProxy(r) {
		scheme = last(r.Header["X-Forwarded-Proto"], scheme)
		host = last(r.Header["X-Forwarded-Host"], host)
	}
	return scheme + "://" + host
}

// isOrigin tells whether a text is a scheme of HTTP and a host, and nothing that a
// URL goes on with. Proxies pass on forwarding headers that their clients wrote: a
// path or the beginning of a query in one would stand before the request's own
// path, which then belongs to a query that nobody compares.
func isOrigin(text string) bool {
	scheme, host, _ := strings.Cut(text, "://")
	return (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")) && host != "" &&
		!strings.ContainsAny(host, `/?#\@ `)
}

func last(values []string, fallback string) string {
	if len(values) == 0 || values[len(values)-1] == "" {
		return fallback
	}
	return values[len(values)-1]
}

// sameOrigin compares two serialized origins (RFC 6454, section 6.2). A browser
// leaves out a default port, and a Host header may name it.
func sameOrigin(a, b string) bool { return plainOrigin(a) == plainOrigin(b) }

func plainOrigin(origin string) string {
	origin = strings.ToLower(origin)
	if host, ok := strings.CutPrefix(origin, "https://"); ok {
		return "https://" + strings.TrimSuffix(host, ":443")
	}
	if host, ok := strings.CutPrefix(origin, "http://"); ok {
		return "http://" + strings.TrimSuffix(host, ":80")
	}
	return origin
}

// isStream tells whether the request is one that a browser cannot give a header:
// a WebSocket handshake or an event stream. HTTP/2 and HTTP/3 have handshakes of
// their own form (RFC 8441; RFC 9220).
func isStream(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet:
		return holdsToken(r.Header["Connection"], "upgrade") && holdsToken(r.Header["Upgrade"], "websocket") ||
			holdsToken(r.Header["Accept"], "text/event-stream")
	case http.MethodConnect:
		return r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket"
	default:
		return false
	}
}

// holdsToken tells whether a list has an element, parameters aside.
func holdsToken(values []string, want string) bool {
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			element, _, _ = strings.Cut(element, ";")
			if strings.EqualFold(strings.TrimSpace(element), want) {
				return true
			}
		}
	}
	return false
}
